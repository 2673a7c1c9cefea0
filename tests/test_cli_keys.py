"""Keys at the command line, and what `serve` makes of them: real processes."""

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from candleql.access import access_to
from candleql.errors import UserError
from candleql.keys import moment
from candleql.settings import Settings
from gql.errors import Unauthenticated
from gql.roles import Role
from tests.test_cli import folder, in_process, run, serving

__all__ = ["folder", "in_process"]

EVERYWHERE = "0.0.0.0"  # noqa: S104 -- where nobody is answered
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBSCRIBE = {"query": "subscription { bots { kind } }"}


def status(url, secret=None):
    headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
    return httpx2.post(url, json={"query": "{ markets { symbol } }"}, headers=headers, timeout=20).status_code


@contextmanager
def subscribed(url, secret=None):
    """An open websocket with a running subscription."""
    with connect(url.replace("http", "ws"), subprotocols=["graphql-transport-ws"]) as socket:
        payload = None if secret is None else {"Authorization": f"Bearer {secret}"}
        socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": SUBSCRIBE}))
        yield socket


def ended(socket):
    """The code of the error that ended its subscription, and that of its end."""
    [error] = json.loads(socket.recv(timeout=10))["payload"]
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    return error["extensions"]["code"], closed.value.rcvd.code


def test_the_first_key_closes_a_running_server_within_5_s_and_so_does_the_end_of_a_key(folder):
    with serving(folder, "--no-collect") as url:
        before = status(url)
        with subscribed(url) as anonymous:
            created = run(folder, "keys", "create", "dash board", "--role", "viewer", "--data-dir", "data")
            begun = time.monotonic()
            first_end, first_took = ended(anonymous), time.monotonic() - begun
        secret = created.stdout.strip()
        without, with_key = status(url), status(url, secret)
        listed = run(folder, "keys", "list", "--data-dir", "data", COLUMNS="150")
        with subscribed(url, secret) as socket:
            revoked = run(folder, "keys", "revoke", "dash board", "--data-dir", "data")
            begun = time.monotonic()
            second_end, second_took = ended(socket), time.monotonic() - begun
        after = status(url, secret)

    assert (before, without, with_key, after) == (200, 401, 200, 401)
    assert first_end == second_end == ("UNAUTHENTICATED", 4403)
    assert max(first_took, second_took) < 5
    assert created.returncode == listed.returncode == revoked.returncode == 0, created.stderr
    assert secret.startswith("cql_")
    assert secret not in listed.stdout
    row = next(line for line in listed.stdout.splitlines() if "dash board" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:4] == ["1", "dash board", "viewer", "live"]
    assert revoked.stdout == "Revoked the key 1, dash board.\n"


def test_beyond_loopback_nobody_is_served_without_a_key(in_process):
    code, err = in_process("serve", "--no-collect", "--host", EVERYWHERE, "--port", "0", "--data-dir", "data")

    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith(f"candleql: {EVERYWHERE} can be reached from elsewhere, and anyone could do everything: ")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "insecure", "has_key", "anyone"),
    [
        pytest.param("127.0.0.1", False, False, True, id="loopback"),
        pytest.param("::1", False, False, True, id="loopback of IPv6"),
        pytest.param("127.0.0.1", False, True, False, id="loopback with a key"),
        pytest.param(EVERYWHERE, False, True, False, id="everywhere with a key"),
        pytest.param(EVERYWHERE, True, False, True, id="everywhere, as is meant"),
        pytest.param(EVERYWHERE, True, True, True, id="everywhere with a key, as is meant"),
    ],
)
async def test_who_needs_no_key_follows_from_the_address_the_keys_and_what_is_meant(
    db, host, insecure, has_key, anyone
):
    if has_key:
        await db.keys.create("one", "admin")
        await db.keys.revoke("one")

    access = await access_to(db.keys, Settings(_env_file=None), host, insecure)

    if anyone:
        assert (await access.caller(None, "")).role is Role.ADMIN
    else:
        with pytest.raises(Unauthenticated):
            await access.caller(None, "")


@pytest.mark.anyio
async def test_an_issuer_that_is_away_keeps_no_server_from_starting_but_nobody_else_is_let_in(db):
    settings = Settings(_env_file=None, jwt_issuer="x", jwt_audience="y", jwt_jwks="http://127.0.0.1:9/jwks")

    access = await access_to(db.keys, settings, "127.0.0.1", insecure=False)

    with pytest.raises(Unauthenticated):
        await access.caller(None, "")


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        pytest.param(
            ["keys", "create", "1", "--role", "viewer", "--data-dir", "d"], {}, "name: '1' is a number", id="a name"
        ),
        pytest.param(["keys", "revoke", "x", "--data-dir", "d"], {}, "there is no key 'x'", id="no key"),
        pytest.param(
            ["serve", "--no-collect", "--port", "0", "--data-dir", "d"],
            {"JWT_ISSUER": "x"},
            "JWT_ISSUER, JWT_AUDIENCE and",
            id="one of three",
        ),
        pytest.param(
            ["serve", "--no-collect", "--port", "0", "--data-dir", "d"],
            {"JWT_ISSUER": "x", "JWT_AUDIENCE": "y", "JWT_JWKS": "none.json"},
            "JWT_JWKS: none.json: ",
            id="no key set",
        ),
    ],
)
def test_a_mistake_with_keys_is_one_line_and_exit_code_2(in_process, words, variables, told):
    code, err = in_process(*words, **variables)

    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("candleql: ")
    assert told in err


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30d", NOW + timedelta(days=30)),
        ("12h", NOW + timedelta(hours=12)),
        ("1w", NOW + timedelta(weeks=1)),
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T12:00:00+02:00", datetime(2026, 2, 1, 10, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_key_is_a_time_from_now_or_a_date(text, meant):
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "soon", "0d", "-1d", "30", "999999999d", "2025-12-31", "2026-01-01"])
def test_an_end_that_is_none_or_over_is_refused(text):
    with pytest.raises(UserError, match="--expires: "):
        moment(text, NOW)
