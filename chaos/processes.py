"""What runs beside the driver: programs that a supervisor starts again, and the simulated exchange."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

_AGAIN_AFTER = 0.2
STOPS_WITHIN = 5.0
"""Seconds that a program has to end after SIGTERM."""
_DATABASE_AWAY = 2
"""The exit code of a program whose database was killed while it started it. Its supervisor tries again."""


class Program:
    """A candleql command that is started again whenever it ends, as a supervisor of services would.

    `starts` counts; `complaints` are ends that nobody caused.
    """

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.starts = 0
        self.complaints: list[str] = []
        self._arguments = arguments
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._fair_ends = {-signal.SIGKILL, _DATABASE_AWAY}

    async def run(self) -> None:
        """Keep it running until stop()."""
        with self._log.open("ab") as log:
            while not self._stopping:
                await self._may_run.wait()
                self._process = process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "candleql", *self._arguments,
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd=self._folder, env=self._environment,
                )  # fmt: skip
                self.starts += 1
                if not self._may_run.is_set():
                    self.send(signal.SIGSTOP)
                try:
                    code = await process.wait()
                finally:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
                if code not in self._fair_ends:
                    self.complaints.append(f"{self.name} ended by itself with code {code}; see {log.name}")
                if not self._stopping:
                    await asyncio.sleep(_AGAIN_AFTER)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, if it runs."""
        if number is signal.SIGTERM:
            # The second is its end when it has only just begun.
            self._fair_ends |= {0, -signal.SIGTERM}
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have it do nothing meanwhile: neither go on nor start."""
        self._may_run.clear()
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._may_run.set()
            self.send(signal.SIGCONT)

    def said(self, words: str) -> int:
        """How often these words are in its log."""
        return self._log.read_text(errors="replace").count(words)

    async def stop(self) -> None:
        """End it for good by SIGTERM; too slow an end is a complaint."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                await process.wait()
        except TimeoutError:
            self.complaints.append(f"{self.name} ran on for {STOPS_WITHIN:g} s after SIGTERM")
            self.send(signal.SIGKILL)
            await process.wait()


class Exchange:
    """The control channel to the simulated exchange."""

    def __init__(self, process: asyncio.subprocess.Process, rest_url: str, ws_url: str) -> None:
        self.rest_url = rest_url
        self.ws_url = ws_url
        self._process = process

    async def tell(self, command: str, **arguments: Any) -> None:
        """Have it obey a command of chaos.exchange."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        answer = await self._process.stdout.readline()
        if answer != b"ok\n":
            raise RuntimeError(f"the exchange did not obey {command}: {answer!r}")


@asynccontextmanager
async def an_exchange(seed: int, rate: float) -> AsyncIterator[Exchange]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaos.exchange", str(seed), str(rate),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        rest_url, ws_url = (await process.stdout.readline()).decode().split()
        yield Exchange(process, rest_url, ws_url)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
