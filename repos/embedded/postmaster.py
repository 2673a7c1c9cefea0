"""What a data folder says about the server that runs, or ran, in it."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import asyncpg
import psutil

from repos.embedded.account import NAME

SOCKET = ".s.PGSQL.5432"
_FILE = "postmaster.pid"


class Postmaster(NamedTuple):
    """The content of postmaster.pid. `sockets` is the socket's folder, None before the server has made it."""

    pid: int
    sockets: Path | None

    @property
    def url(self) -> str | None:
        """For asyncpg."""
        if self.sockets is None:
            return None
        # The port is only part of the socket's name. Said here, so that PGPORT does not matter.
        return f"postgresql://{NAME}@/postgres?{urlencode({'host': self.sockets, 'port': 5432})}"


def read(data: Path) -> Postmaster | None:
    """The server named in the folder, whether or not it still runs."""
    try:
        lines = (data / _FILE).read_text().splitlines()
    except FileNotFoundError:
        return None
    # Written in steps: first the pid, the data folder, the start time and the port; then the socket's folder.
    if not lines or not lines[0].strip().isdigit():
        return None
    return Postmaster(int(lines[0]), Path(lines[4]) if len(lines) > 4 and lines[4] else None)


def running(data: Path) -> psutil.Process | None:
    """The server of the folder: not a zombie, nor a program that has the pid of a dead one."""
    named = read(data)
    try:
        process = None if named is None else psutil.Process(named.pid)
        return process if process is not None and str(data) in process.cmdline() else None
    except psutil.Error:
        return None


def disown(data: Path) -> None:
    """Have PostgreSQL take what a server that does not run left behind for stale, whatever has its pid now.

    It believes in any living pid, even a zombie's, but for that of its own parent, as we will be. postmaster.pid must
    stay: by the rest of it a new server sees that backends of a killed one are still at work on the data. The lock on
    the socket says the pid alone.
    """
    (data / f"{SOCKET}.lock").unlink(missing_ok=True)
    with os.fdopen(os.open(data / _FILE, os.O_RDWR | os.O_NOFOLLOW), "r+") as file:
        _, rest = file.readline(), file.read()
        file.seek(0)
        file.write(f"{os.getpid()}\n{rest}")
        file.truncate()


async def answers(url: str) -> bool:
    """Whether a server takes connections there."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.InterfaceError):
        return False
    except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
        return False  # It is starting or stopping.
    except asyncpg.PostgresError:
        return True  # It has no room for one more connection, say.
    await connection.close(timeout=5)
    return True
