"""The lock that says which process owns a data folder."""

import fcntl
import os
from pathlib import Path
from weakref import WeakSet


class DataLock:
    """An exclusive flock on one file. It goes with its process, also when that is killed; the file stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock if it is free, without waiting. Only one of a path is held, within a process too.

        Raises:
            OSError: The file can't be opened.
        """
        # Closed on exec (PEP 446): the database server does not keep the lock of an owner that died.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._descriptor = descriptor
        _locks.add(self)
        return True

    def release(self) -> None:
        """Give the lock back; again is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_locks: WeakSet[DataLock] = WeakSet()


def _forked() -> None:
    # A flock lasts while any copy of its descriptor is open: a forked child would keep it for a dead parent.
    for lock in _locks:
        lock.release()


os.register_at_fork(after_in_child=_forked)
