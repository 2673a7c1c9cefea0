"""Every setting and every field of okx_config.json, with anything in it: it is taken, or told by its name in a line."""

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits.errors import ConfigurationError

from candleql.database import database
from candleql.errors import UserError
from candleql.settings import Settings, read_settings
from collector.config import CollectorConfig, ConfigError, TradingPair, load_config
from collector.okx.channels import Channels
from collector.okx.rest import OKXRest
from gql.rate import Accounts
from gql.tokens import NoKeys, Tokens
from repos.domain import InvalidValue

pytestmark = pytest.mark.anyio

SECRET = "hunter2-hunter2"  # noqa: S105
WITH_SECRETS = ("database_url", "database_listen_url", "postgres_password", "jwt_jwks", "rate_limit_storage")
SLOWLY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a .env file, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def make_all() -> None:
    """Read the settings and make what is made of them before a server answers."""
    read = read_settings()
    try:
        database(read, None)
        OKXRest(read.okx_rest_url)
        Accounts(1, read.rate_limit_storage)
    except ConfigurationError:
        raise UserError("RATE_LIMIT_STORAGE") from None  # as candleql.server does
    read.trusted()


def check(name: str, value: str) -> str:
    """Use a setting of the environment; what is told of it, empty if nothing is."""
    with patch.dict(os.environ, {name.upper(): value}):
        return told_of(name)


def told_of(*names: str) -> str:
    """What is told when all is made; it has to hold one of the names."""
    try:
        make_all()
    except (UserError, InvalidValue) as error:
        told = one_line(str(error))
    else:
        return ""
    assert any(name.upper() in told for name in names)
    return told


def one_line(told: str) -> str:
    assert told.isprintable()
    return told


# What the environment can hold: no NUL, and bytes that are no UTF-8 as Python reads them.
TEXT = st.text(
    st.characters(exclude_characters="\0", codec="utf-8") | st.sampled_from("\udc80\udcff\n\r\u2028@:/?#[]%,")
)
ADDRESSES = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "ws", "wss", "postgresql", "redis", "redis+unix", "memory", "x"]),
    st.sampled_from(["", "a", "a.b", "a..b", "[::1]", "[::1", "999.1.1.1", "127.0.0.1", "xn--", "-", "a" * 64, "é"]),
    st.sampled_from(["", ":", ":0", ":80", ":65536", ":x", ":-1"]),
    st.sampled_from(["", "/", "/a", "?a=b", "#", "/ "]) | TEXT,
)


@pytest.mark.parametrize("name", Settings.model_fields)
@SLOWLY
@given(value=TEXT | ADDRESSES | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["", " ", "true"]))
def test_any_text_in_a_setting_is_taken_or_told_in_one_line_by_its_name(name: str, value: str) -> None:
    check(name, value)


@pytest.mark.parametrize("name", WITH_SECRETS)
@SLOWLY
@given(before=TEXT, after=TEXT, address=ADDRESSES)
def test_no_part_of_a_password_is_told(name: str, before: str, after: str, address: str) -> None:
    scheme, _, rest = address.partition("://")

    assert SECRET not in check(name, f"{scheme}://user:{before}{SECRET}{after}@{rest}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OKX_REST_URL", "www.okx.com"),
        ("OKX_REST_URL", "wss://www.okx.com"),
        ("OKX_REST_URL", "https://"),
        ("OKX_REST_URL", "https://a..b"),
        ("OKX_REST_URL", "https://a:70000"),
        ("OKX_REST_URL", f"https://user:{SECRET}@a"),
        ("OKX_REST_URL", ""),
        ("OKX_WS_URL", "https://ws.okx.com"),
        ("OKX_WS_URL", "wss://ws.okx.com:x"),
        ("ALLOWED_HOSTS", "https://example.org"),
        ("ALLOWED_HOSTS", "localhost:8000"),
        ("ALLOWED_HOSTS", "localhost example.org"),
        ("ALLOWED_HOSTS", "::1"),
        ("ALLOWED_HOSTS", "*.example.org"),
        ("ALLOWED_HOSTS", "a,b\nc"),
        ("ALLOWED_ORIGINS", "example.org"),
        ("ALLOWED_ORIGINS", "https://example.org/"),
        ("TRUSTED_PROXIES", "10.0.0.0/40"),
        ("JWT_JWKS", f"ftp://user:{SECRET}@a/b"),
        ("JWT_JWKS", f"https://user:{SECRET}@a:x/b"),
        ("RATE_LIMIT_STORAGE", f"radis://:{SECRET}@a"),
        ("RATE_LIMIT_STORAGE", f"redis://:{SECRET}@a:x"),
        ("DATABASE_URL", f"mysql://user:{SECRET}@a/b"),
        ("JWT_ROLE_CLAIM", ""),
    ],
)
def test_an_address_that_leads_nowhere_is_told_by_its_setting(name: str, value: str) -> None:
    told = check(name, value)

    assert told.startswith(name)
    assert SECRET not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OKX_REST_URL", "https://eea.okx.com"),
        ("OKX_REST_URL", "http://127.0.0.1:8080/okx/"),
        ("OKX_WS_URL", "wss://wseea.okx.com:8443"),
        ("OKX_WS_URL", "ws://[::1]:1"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "localhost, .example.org,[::1],10.0.0.1,my_host"),
        ("ALLOWED_ORIGINS", "https://example.org,http://localhost:5173,http://[::1]:3000,null,chrome-extension://abc"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,127.0.0.1"),
        ("RATE_LIMIT_STORAGE", "redis://:p%40@localhost:6379/1"),
        ("TRUSTED_DOCUMENTS", ""),
        ("JWT_JWKS", ""),
    ],
)
def test_an_address_that_can_be_meant_is_taken(name: str, value: str) -> None:
    assert check(name, value) == ""


def test_trusted_documents_that_are_empty_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_DOCUMENTS", "")

    assert read_settings().trusted_documents is None


def test_two_of_three_settings_of_tokens_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ISSUER", "x")
    monkeypatch.setenv("JWT_JWKS", f"https://user:{SECRET}@a/b")

    with pytest.raises(UserError, match=r"^JWT_ISSUER, JWT_AUDIENCE and JWT_JWKS are wanted together"):
        read_settings()


@pytest.mark.parametrize("jwks", [f"http://user:{SECRET}@127.0.0.1:1/jwks?key={SECRET}", f"user:{SECRET}@a/b"])
async def test_keys_that_cannot_be_read_are_told_without_a_password(jwks: str) -> None:
    with pytest.raises(NoKeys) as told:
        await Tokens("x", "y", jwks).read()

    assert SECRET not in str(told.value)


def test_a_env_file_that_cannot_be_read_is_told(elsewhere: Path) -> None:
    (elsewhere / ".env").symlink_to("/proc/self/mem")  # which opens, and fails to be read

    with pytest.raises(UserError, match=r"^\.env: it can't be read: "):
        read_settings()


@SLOWLY
@given(name=st.sampled_from(list(Settings.model_fields)), value=TEXT | st.text(), rest=st.text())
def test_any_env_file_is_taken_or_told_in_one_line(elsewhere: Path, name: str, value: str, rest: str) -> None:
    (elsewhere / ".env").write_text(f"{name.upper()}='{value}'\n{rest}", errors="surrogateescape")

    told_of(*Settings.model_fields, ".env", "data_dir")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PAIR: dict[str, Any] = {"symbol": "BTC-USDT", "timeframes": ["5s"]}


def read(folder: Path, content: object) -> list[str]:
    """Load a configuration and make what a collector makes of it; the mistakes that are told."""
    path = folder / "okx_config.json"
    path.write_text(json.dumps(content))
    try:
        config = load_config(path)
    except ConfigError as error:
        return [one_line(mistake).removeprefix(f"{path}: $") for mistake in error.mistakes]
    for pair in config.pairs():
        Channels.split([pair.symbol], pair.data_types)
    config.series()
    return []


@pytest.mark.parametrize("name", CollectorConfig.model_fields)
@SLOWLY
@given(value=JSON)
def test_any_value_at_the_top_of_the_configuration_is_taken_or_told(elsewhere: Path, name: str, value: object) -> None:
    assert all(name in mistake for mistake in read(elsewhere, {"trading_pairs": [PAIR], name: value}))


@pytest.mark.parametrize("name", TradingPair.model_fields)
@SLOWLY
@given(value=JSON)
def test_any_value_in_a_pair_of_the_configuration_is_taken_or_told(elsewhere: Path, name: str, value: object) -> None:
    told = read(elsewhere, {"trading_pairs": [PAIR | {name: value}]})

    assert all(mistake.startswith(".trading_pairs[0]") and name in mistake for mistake in told)


@SLOWLY
@given(key=st.text(), value=JSON)
def test_any_key_that_is_not_known_is_told(elsewhere: Path, key: str, value: object) -> None:
    known = {**CollectorConfig.model_fields, **TradingPair.model_fields}
    if key not in known:
        [at_top] = read(elsewhere, {"trading_pairs": [PAIR], key: value})
        [in_pair] = read(elsewhere, {"trading_pairs": [PAIR | {key: value}]})
        assert " is not known" in at_top
        assert " is not known" in in_pair


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"trading_pairs": [PAIR], "store_raw": True}, ".store_raw is not known; did you mean store_raw_data?"),
        ({"trading_pairs": [PAIR], "Exchange": "okx"}, ".Exchange is not known; did you mean exchange?"),
        ({"trading_pairs": [PAIR], "log": 1}, ".log is not known"),
        (
            {"trading_pairs": [PAIR | {"time_frames": []}]},
            ".trading_pairs[0].time_frames is not known; did you mean timeframes?",
        ),
        (
            {"trading_pairs": [PAIR | {"data_type": []}]},
            ".trading_pairs[0].data_type is not known; did you mean data_types?",
        ),
        ({"trading_pairs": [PAIR], "a\nb.c": 1}, '["a\\nb.c"] is not known'),
    ],
)
def test_a_key_that_is_not_known_is_told_with_the_nearest_that_is(elsewhere: Path, content: object, told: str) -> None:
    assert read(elsewhere, content) == [told]
