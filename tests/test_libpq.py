"""Parameters of libpq in a database's URL, as hosts of databases hand them out."""

import asyncio
import socket
import time

import pytest
from structlog.testing import capture_logs

from repos.address import driver_url
from repos.domain import InvalidValue
from repos.errors import DatabaseUnavailable
from repos.operations import DatabaseOperations

pytestmark = pytest.mark.anyio
NEON = "postgresql://me:secret@ep.eu.aws.neon.tech/candles?sslmode=require&channel_binding=require"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sslmode=require&channel_binding=require", "sslmode=require"),
        ("channel_binding=require&sslmode=verify-full", "sslmode=verify-full"),
        # Only TLS has a channel to bind: without it libpq would refuse the server.
        ("channel_binding=require", "sslmode=require"),
        ("sslmode=prefer&channel_binding=require", "sslmode=require"),
        ("channel_binding=prefer&sslmode=prefer", "sslmode=prefer"),
        ("gssencmode=disable", ""),
        ("keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=9000", ""),
        ("connect_timeout=5&sslsni=1&application_name=mine", "connect_timeout=5&application_name=mine"),
        ("options=-c%20geqo%3Doff&client_encoding=UTF8", "options=-c%20geqo%3Doff"),
    ],
)
def test_what_the_driver_would_hand_to_the_server_is_left_out_and_the_rest_stays(given, kept):
    assert driver_url(f"postgresql://me@db/candles?{given}") == f"postgresql://me@db/candles{kept and '?'}{kept}"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("connect_timeout=soon", "connect_timeout: 'soon' is not a whole number"),
        ("connect_timeout=", "connect_timeout: '' is not a whole number"),
        ("connect_timeout=1.5", "connect_timeout: '1.5' is not a whole number"),
        ("keepalives=yes", "keepalives: 'yes' is not a whole number"),
        ("channel_binding=always", "channel_binding: 'always' is none of disable, prefer, require"),
        ("channel_binding=require&sslmode=disable", "channel_binding=require contradicts sslmode=disable"),
        ("gssencmode=require", "gssencmode: 'require' is neither disable nor prefer"),
        ("require_auth=scram-sha-256", "require_auth: the driver can't do that"),
        ("secret", "what follows the ? is not name=value"),
    ],
)
def test_what_can_not_be_kept_is_refused_by_name(given, told):
    with pytest.raises(InvalidValue) as refused:
        driver_url(f"postgresql://me@db/candles?{given}")

    assert str(refused.value).startswith(f"DATABASE_URL: {told}")
    assert refused.value.__context__ is None


async def test_a_demand_to_bind_channels_is_told_to_be_another_one() -> None:
    with capture_logs() as lines:
        DatabaseOperations(NEON)
        DatabaseOperations(NEON.replace("sslmode=require", "sslmode=verify-full"))

    [line] = lines
    assert line["log_level"] == "warning"
    assert "channel_binding=require is taken for sslmode=require" in line["event"]
    assert "secret" not in str(line)


async def test_a_server_that_does_not_answer_is_given_up_when_connect_timeout_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://me:secret@127.0.0.1:{silent.getsockname()[1]}/candles?connect_timeout=1&sslmode=disable"
        begun = time.monotonic()
        async with asyncio.timeout(9):
            with pytest.raises(DatabaseUnavailable, match=r"candles at 127\.0\.0\.1:[0-9]+ as me: .* 1 s"):
                await DatabaseOperations(url).open()

    assert time.monotonic() - begun >= 1


async def test_a_host_that_no_name_server_can_be_asked_for_is_told_in_one_line() -> None:
    with pytest.raises(DatabaseUnavailable, match="no name server can be asked for such a host"):
        await DatabaseOperations(f"postgresql://me:secret@{'a' * 64}.example/candles").open()
