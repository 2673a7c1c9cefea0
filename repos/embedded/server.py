"""The default database: a PostgreSQL of our own, in one folder, on a Unix socket alone."""

import asyncio
import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import structlog

from repos.domain import InvalidValue, of_type, shown
from repos.embedded import postmaster
from repos.embedded.account import NAME, Account, server_account
from repos.embedded.binaries import MAJOR, binaries
from repos.embedded.lock import DataLock
from repos.errors import DatabaseUnavailable

_POLL = 0.02
STOPS_WITHIN = 1.5
"""Seconds that a server has to end. One that is frozen ends once it runs again; the next owner waits for it."""
_SOCKET = f"/{postmaster.SOCKET}"
_SOCKET_BYTES = 107
"""The longest path of a Unix socket on Linux."""
_PLAIN = re.compile(r"[A-Za-z0-9/._+=@~ -]+")
"""A comma in it, say, would end the path in PostgreSQL's list of folders and in a DSN."""
_INITDB = (
    "-U", NAME, "--auth-local=trust", "--auth-host=reject",
    "-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
)  # fmt: skip

log = structlog.get_logger(__name__)


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where data is kept unless the user says: the XDG data home, under root /var/lib."""
    if os.geteuid() == 0:
        return Path("/var/lib") / NAME
    home = Path(environ.get("XDG_DATA_HOME", ""))
    # The XDG base directory specification: a relative path is to be ignored.
    return (home if home.is_absolute() else Path.home() / ".local/share") / NAME


def folder_at(name: str, path: str | Path) -> Path:
    """The folder at `path`, absolute, with ~ spelt out.

    Raises:
        InvalidValue: It is no path, or begins with the ~ of a user that there is not. It carries `name`.
    """
    if not isinstance(path, str | Path) or not str(path):
        raise InvalidValue(name, f"{shown(path)} is not the path of a folder")
    try:
        return Path(path).expanduser().resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL; a ~ without a home; a link to itself
        raise InvalidValue(name, f"{shown(str(path))} is not the path of a folder: {error}") from error


class EmbeddedPostgres:
    """A handle on the server of one data folder.

    Of all handles, in any process, the one that holds the lock `<data_dir>/lock` owns the server: it starts it, or
    adopts the one that a killed owner left, and stops it. The others attach, and never stop it.
    """

    def __init__(self, data_dir: str | Path, options: Sequence[str] = ()) -> None:
        """`options` go to the server's command line.

        Raises:
            InvalidValue: data_dir is no path, or options no list of strings.
        """
        self.data_dir = folder_at("data_dir", data_dir)
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise InvalidValue("options", f"{shown(options)} is no list of strings")
        for option in options:
            of_type("options", option, str)
        self._options = options
        self._data = self.data_dir / f"postgresql-{MAJOR}"
        self._log = self.data_dir / "postgresql.log"
        self._lock = DataLock(self.data_dir / "lock")
        self._busy = asyncio.Lock()
        # Held by the threads that launch and end: such a thread goes on when the task that waits for it is cancelled.
        self._working = threading.Lock()
        self._server: subprocess.Popen[bytes] | psutil.Process | None = None
        self._url: str | None = None

    @property
    def is_owner(self) -> bool:
        return self._lock.held

    async def start(self) -> str:
        """The URL of the running server, for asyncpg. Cheap when it runs; starts it anew when it died.

        Waits as long as somebody else is starting or stopping the server, or it recovers from a crash.

        Raises:
            DatabaseUnavailable: It can't be started; the text is one line for the user.
        """
        async with self._busy:
            try:
                if self._url is None or postmaster.running(self._data) is None:
                    self._url = await self._started()
            except OSError as error:
                await asyncio.to_thread(self._end)
                raise DatabaseUnavailable(
                    f"the embedded PostgreSQL in {self.data_dir} can't be used: {error}"
                ) from error
            except DatabaseUnavailable:
                await asyncio.to_thread(self._end)
                raise
            return self._url

    async def running(self) -> str | None:
        """The URL of the server if it runs and answers: none is started or waited for.

        Raises:
            DatabaseUnavailable: The folder can't be read.
        """
        try:
            return await self._answering() if postmaster.running(self._data) else None
        except OSError as error:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL in {self.data_dir} can't be looked at: {error}"
            ) from error

    async def stop(self) -> None:
        """Stop the server if we own it, and wait STOPS_WITHIN seconds at most for its end; again is fine."""
        async with self._busy:
            await asyncio.to_thread(self._end)

    async def _started(self) -> str:
        told = False
        while not self._own():
            if url := await self._answering():
                return url
            if not told:
                log.warning("Waiting for the process that owns the database", data_dir=str(self.data_dir))
                told = True
            await asyncio.sleep(_POLL)
        launched = False
        while True:
            url = await self._answering()
            if url and not self._is_parent() and (adopted := postmaster.running(self._data)):
                self._server = adopted
                log.warning("Adopted the running database", data_dir=str(self.data_dir), pid=adopted.pid)
            if url:
                return url
            if not launched and postmaster.running(self._data) is None:
                launched = await asyncio.to_thread(self._launch)
            elif launched and not self._is_parent():
                raise DatabaseUnavailable(f"the embedded PostgreSQL did not start: {self._last_words()}")
            await asyncio.sleep(_POLL)

    async def _answering(self) -> str | None:
        """The URL of a server that takes connections."""
        named = postmaster.read(self._data)
        url = None if named is None else named.url
        return url if url is not None and await postmaster.answers(url) else None

    def _is_parent(self) -> bool:
        return isinstance(self._server, subprocess.Popen) and self._server.poll() is None

    def _own(self) -> bool:
        """Whether we hold the lock, after trying to take it."""
        if not self._lock.held:
            _make(self.data_dir)
            if self._lock.acquire():
                # A script that ends without close() leaves no server behind.
                atexit.register(self._end)
        return self._lock.held

    def _launch(self) -> bool:
        """Launch a server, unless one of ours is still coming or going; whether it did."""
        with self._working:
            if self._is_parent():
                return False
            self._server = self._launched()
            return True

    def _launched(self) -> subprocess.Popen[bytes]:
        account = server_account()
        if account.user is not None and account.run("test", "-x", self.data_dir)[0] != 0:
            raise DatabaseUnavailable(
                f"the user {NAME}, as whom PostgreSQL runs under root, can't reach {self.data_dir}; "
                f"choose another --data-dir"
            )
        programs = binaries(account, self.data_dir)
        if not self._data.exists():
            self._initialise(account, programs)
        if (named := postmaster.read(self._data)) is not None and psutil.pid_exists(named.pid):
            postmaster.disown(self._data)
        with contextlib.suppress(FileNotFoundError):
            self._log.replace(self._log.with_suffix(".log.1"))
        output = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            return account.spawn(
                output, programs / "postgres", "-D", self._data, "-h", "", "-p", "5432",
                "-k", self._sockets(account), "-c", "unix_socket_permissions=0700",
                # Room for the pools of several processes; PostgreSQL's own 100 is soon used up.
                "-c", "max_connections=300", *self._options,
            )  # fmt: skip
        finally:
            os.close(output)

    def _initialise(self, account: Account, programs: Path) -> None:
        # Renamed when complete: an initdb that was cut short is begun anew.
        partial = self._data.with_name(f"{self._data.name}.partial")
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(mode=0o700)
        account.give(partial)
        code, said = account.run(programs / "initdb", "-D", partial, *_INITDB)
        if code != 0:
            raise DatabaseUnavailable(f"the embedded PostgreSQL could not be made: {_end_of(said)}")
        partial.rename(self._data)

    def _sockets(self, account: Account) -> Path:
        """The folder for the socket: that of the data, or a private one when its path is unfit."""
        if len(os.fsencode(self._data)) + len(_SOCKET) <= _SOCKET_BYTES and _PLAIN.fullmatch(str(self._data)):
            return self._data
        # Not TMPDIR: that may be long as well, and out of the account's reach.
        private = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir="/tmp"))
        account.give(private)
        return private

    def _last_words(self) -> str:
        return _end_of(self._log.read_text(errors="replace"))

    def _end(self) -> None:
        with self._working:
            self._url = None
            if self._lock.held and self._server is not None:
                named = postmaster.read(self._data)
                with contextlib.suppress(psutil.NoSuchProcess):
                    # "Fast shutdown": open transactions are rolled back, and the data is left clean.
                    self._server.send_signal(signal.SIGINT)
                    try:
                        self._server.wait(STOPS_WITHIN)
                    except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
                        log.warning("The database is still stopping", data_dir=str(self.data_dir))
                if named is not None and named.sockets is not None and named.sockets != self._data:
                    with contextlib.suppress(OSError):
                        named.sockets.rmdir()
            if not self._is_parent():  # whose end is still to come
                self._server = None
            self._lock.release()
            atexit.unregister(self._end)


def _make(folder: Path) -> None:
    """Make the folder, and its missing parents; what is there already keeps its owner and mode."""
    for path in reversed([folder, *folder.parents]):
        if path.exists():
            continue
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            # The server's account must get through to the folder of the data, which is its own.
            path.chmod(0o711)


def _end_of(said: str) -> str:
    return "; ".join(line.strip() for line in said.splitlines()[-3:] if line.strip())
