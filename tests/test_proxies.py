"""The way outside: by the proxy that the environment names, except to this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from collector.okx.connection import Connection
from collector.okx.rest import OKXRest
from collector.okx.simulator.server import Simulator
from repos.domain import InvalidValue
from repos.proxies import proxy_for

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_other_proxy(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def a_socks_proxy() -> AsyncIterator[tuple[int, list[str]]]:
    """A SOCKS5 proxy (RFC 1928) for names: it takes every one for this machine. Its port, and the names asked for."""
    asked: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        _, _, _, kind, length = await reader.readexactly(5)
        assert kind == 3
        asked.append((await reader.readexactly(length)).decode())
        port = int.from_bytes(await reader.readexactly(2), "big")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.anyio
async def test_the_exchange_is_asked_and_followed_through_a_socks_proxy(monkeypatch):
    async with Simulator() as exchange, a_socks_proxy() as (port, asked):
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{port}")
        rest_url, ws_url = (url.replace("127.0.0.1", "exchange.test") for url in (exchange.rest_url, exchange.ws_url))

        async with OKXRest(rest_url) as rest:
            trade = await rest.newest_trade("BTC-USDT")
        connection = await Connection.open(f"{ws_url}/ws/v5/public", [])
        await connection.close()

    assert trade is not None
    assert asked == ["exchange.test", "exchange.test"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:1", "ftp://nowhere"])
async def test_this_machine_is_never_asked_through_a_proxy(monkeypatch, name, proxy):
    monkeypatch.setenv(name, proxy)
    async with Simulator() as exchange, OKXRest(exchange.rest_url) as rest:
        assert await rest.newest_trade("BTC-USDT") is not None

        connection = await Connection.open(f"{exchange.ws_url}/ws/v5/public", [])
        await connection.close()


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("https://okx.test", {}, None),
        ("https://okx.test", {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ("wss://okx.test:8443", {"HTTPS_PROXY": "http://me:secret@proxy:3128/"}, "http://me:secret@proxy:3128"),
        ("https://okx.test", {"HTTP_PROXY": "http://proxy:1"}, None),
        ("ws://okx.test", {"HTTP_PROXY": "http://proxy:1", "ALL_PROXY": "socks5://proxy:2"}, "http://proxy:1"),
        ("https://okx.test", {"ALL_PROXY": "socks5://proxy:2", "NO_PROXY": "okx.test"}, None),
        ("https://okx.test", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"}, None),
        ("http://[::1]:1", {"ALL_PROXY": "socks5://proxy:2"}, None),
        ("ws://localhost:1", {"ALL_PROXY": "socks5://proxy:2"}, None),
        ("http://127.8.0.1:1", {"ALL_PROXY": "socks5://proxy:2"}, None),
        ("http://127.0.0.1.evil.test", {"ALL_PROXY": "socks5://proxy:2"}, "socks5://proxy:2"),
    ],
)
def test_the_proxy_is_the_one_that_the_environment_names_for_an_address(monkeypatch, url, variables, proxy):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    "proxy", ["ftp://me:secret@proxy:1", "http://me:secret@proxy:port", "http://", "http://me@proxy:1"]
)
def test_what_is_no_proxy_is_told_by_the_variable_s_name_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(InvalidValue, match="ALL_PROXY: it must be like http://host:port") as refused:
        proxy_for("https://okx.test")

    assert "secret" not in str(refused.value)
