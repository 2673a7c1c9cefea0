"""The PostgreSQL of the programs, which start, adopt and stop it themselves: what is done to it from outside."""

import asyncio
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil

from repos.embedded import postmaster
from repos.embedded.binaries import MAJOR

_ENDS_WITHIN = 10.0
_THERE_WITHIN = 60.0
"""Seconds until a server that died is back: whoever misses it starts it again, when it has recovered."""
_POLL = 0.05


class Database:
    """The server of a data folder, whoever owns it. Nothing here starts it or holds its lock."""

    def __init__(self, data_dir: Path) -> None:
        self._data = data_dir.resolve() / f"postgresql-{MAJOR}"
        self._older = data_dir.resolve() / "older"

    @property
    def is_running(self) -> bool:
        return postmaster.running(self._data) is not None

    async def connect(self) -> asyncpg.Connection:
        """A connection, as soon as there is a server; the caller closes it.

        Raises:
            TimeoutError: No program started one.
        """
        async with asyncio.timeout(_THERE_WITHIN):
            while True:
                named = postmaster.read(self._data)
                if named is not None and named.url is not None and await postmaster.answers(named.url):
                    with suppress(OSError, asyncpg.PostgresError):
                        return await asyncpg.connect(named.url)
                await asyncio.sleep(_POLL)

    async def restart(self) -> None:
        """Shut it down; the programs start it again."""
        server = postmaster.running(self._data)
        if server is not None:
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signal.SIGINT)
            await asyncio.to_thread(psutil.wait_procs, [server], timeout=_ENDS_WITHIN)

    async def kill(self) -> None:
        """SIGKILL all of it, and return when nothing of it is left."""
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await asyncio.to_thread(psutil.wait_procs, processes, timeout=_ENDS_WITHIN)

    async def copy(self) -> None:
        """Keep a copy of its files as they are. It is down, and whoever could start it is held."""
        await asyncio.to_thread(shutil.rmtree, self._older, ignore_errors=True)
        # With owners and times, as an operator would.
        copying = await asyncio.create_subprocess_exec("cp", "-a", self._data, self._older)
        if await copying.wait():
            raise RuntimeError(f"{self._data} could not be copied")

    async def replace(self) -> None:
        """Put the copy in its place; as with copy()."""
        await asyncio.to_thread(shutil.rmtree, self._data)
        self._older.rename(self._data)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to each of its processes."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            server = postmaster.running(self._data)
            return [] if server is None else [server, *server.children(recursive=True)]
        return []
