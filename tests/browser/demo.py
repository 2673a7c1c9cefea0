"""`candleql serve --demo` as a process of its own, which can be killed and come back where it was."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from repos.embedded.server import EmbeddedPostgres
from repos.operations import DatabaseOperations

START = 180
"""Seconds that a start may take: a busy machine takes its time."""


class Demo:
    """Its data lie in `folder`, and its address stays the same from the first start on. `how` says what it serves."""

    def __init__(self, folder: Path, how: str, settings: dict[str, str]) -> None:
        self._folder = folder
        self._how = how
        self._environment = os.environ | settings
        self._port = "0"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Returns when it answers."""
        data = str(self._folder / "data")
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "candleql", "serve", self._how, "--port", self._port, "--data-dir", data,
                cwd=self._folder, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(START):
            line = (await self._process.stdout.readline()).decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line + (self._folder / "log").read_text()
        self._port = found[1]

    async def furnished(self) -> None:
        """Returns when there are candles to draw."""
        query = {"query": '{ latestCandle(symbol: "BTC-USDT", timeframe: "1m") { close } }'}
        async with asyncio.timeout(START), httpx2.AsyncClient(base_url=self.url, timeout=60) as http:
            while not (await http.post("/graphql", json=query)).json()["data"]["latestCandle"]:
                await asyncio.sleep(0.1)

    async def candles(self, since: str) -> list[dict[str, object]]:
        """The candles of 5 seconds of BTC-USDT that began since then and are stored, as the dashboard asks for them."""
        query = """query($since: DateTime!) {
            candles(symbol: "BTC-USDT", timeframe: "5s", start: $since) {
                nodes { startTime open high low close volume tradeCount origin isFinal } } }"""
        asked = {"query": query, "variables": {"since": since}}
        async with httpx2.AsyncClient(base_url=self.url, timeout=60) as http:
            answer = (await http.post("/graphql", json=asked)).json()
        nodes: list[dict[str, object]] = answer["data"]["candles"]["nodes"]
        return nodes

    async def key(self, role: str) -> str:
        """One that is made now. The server hears of it within 5 s, and from then on wants one."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "candleql", "keys", "create", role, "--role", role,
            "--data-dir", str(self._folder / "data"), cwd=self._folder, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        found = re.search(r"cql_\S+", said)
        assert found, said
        return found[0]

    def database(self) -> DatabaseOperations:
        """What it serves, for whoever writes beside it."""
        return DatabaseOperations(EmbeddedPostgres(self._folder / "data"))

    async def kill(self) -> None:
        """As a power cut would. Its database is left running, for the next start to adopt."""
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()

    async def lose_its_data(self) -> None:
        """Stop, and come back at the same address with a new data folder."""
        await self.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder / "data")
        await self.start()

    async def take_the_data_of(self, other: "Demo") -> None:
        """Stop both, and come back at the same address with the other's data folder."""
        await asyncio.gather(self.stop(), other.stop())
        await asyncio.to_thread(shutil.rmtree, self._folder / "data")
        (other._folder / "data").rename(self._folder / "data")
        await self.start()

    async def stop(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.communicate()


@asynccontextmanager
async def a_demo(how: str = "--demo", **settings: str) -> AsyncIterator[Demo]:
    """One that answers, with data of its own, which is gone afterwards."""
    # Not tmp_path: under root the database's account can't enter that.
    folder = Path(tempfile.mkdtemp(prefix="candleql-"))
    folder.chmod(0o755)
    demo = Demo(folder, how, settings)
    try:
        await demo.start()
        yield demo
    finally:
        await demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
