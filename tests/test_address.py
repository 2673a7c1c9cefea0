"""What a database's URL may look like: a wrong one is refused in words that give nothing of it away."""

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repos.address import database_url, describe, driver_url
from repos.domain import InvalidValue

SIGNS = st.text(st.sampled_from("aZ0@:/?#[]%&=+,. \t\n℀é"), min_size=1, max_size=12)


@given(SIGNS)
def test_a_password_that_is_escaped_reaches_the_driver_as_it_was_written(password):
    escaped = quote(password, safe="")

    assert urlsplit(driver_url(f"postgresql://me:{escaped}@db:5433/candles")).password == escaped


@given(SIGNS)
def test_a_password_as_it_is_reaches_the_driver_whole_or_is_refused_and_never_told(password):
    secret = f"kept{password}dark"

    refused = None
    try:
        found = urlsplit(driver_url(f"postgresql://me:{secret}@db:5433/candles"))
    except InvalidValue as error:
        refused = error

    if refused is None:
        assert (found.password, found.hostname, found.port, found.path) == (secret, "db", 5433, "/candles")
    else:
        assert "kept" not in str(refused)
        assert "dark" not in str(refused)
        assert refused.__cause__ is None
        assert refused.__context__ is None


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "+5", "5432.0", " 5432", "٣", "9" * 5_000])
def test_a_port_is_a_number_from_1_to_65535(port):
    with pytest.raises(InvalidValue, match="the port must be a whole number from 1 to 65535") as by_url:
        driver_url(f"postgresql://me@/candles?host=db&port={port.replace('+', '%2B')}")
    with pytest.raises(InvalidValue, match="POSTGRES_PORT: the port must be a whole number"):
        database_url({"POSTGRES_PORT": port})

    assert by_url.value.name == "DATABASE_URL"


def test_the_name_of_the_setting_is_that_of_the_wrong_one():
    with pytest.raises(InvalidValue, match=r"^DATABASE_LISTEN_URL: the port"):
        driver_url("postgresql://db:x/candles", "DATABASE_LISTEN_URL")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///candles",
        "postgresql://[::1]:5432/candles",
        "postgresql://me@a:5432,b:5433/candles",
        "postgresql://me:p%40ss@%2Fvar%2Frun/candles",
        "postgresql://me@/candles?host=/tmp&port=5432",
        "postgresql://me:p!$&'()*+,;=~-._w@db/candles?options=-c%20geqo=off",
    ],
)
def test_what_the_driver_understands_is_left_as_it_is(url):
    assert driver_url(url) == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://me:secret@db:5433/candles", "the database candles at db:5433 as me"),
        ("postgresql://m%40e:secret@[::1]/candles?x=1", "the database candles at [::1] as m@e"),
        ("postgresql://me:secret@/candles?host=/tmp&port=7", "the database candles at /tmp:7 as me"),
        ("postgresql://db?user=me&password=secret", "the database me at db as me"),
        ("postgresql://", "the database at its default place"),
    ],
)
def test_a_database_is_told_without_the_password(url, told):
    assert describe(url) == told
