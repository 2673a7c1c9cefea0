"""What one subscriber has not read yet."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from repos.errors import DomainError, MailboxOverflow

T = TypeVar("T")

MOST = 10_000
"""Rows kept for a reader: two full pages of a busy hour; at some 400 bytes a row, 4 MB at the worst."""


class Mailbox(Generic[T]):
    """Letters that are kept in order, and notes of which a newer one replaces the older of the same key.

    Letters come out before notes. Putting never waits, so one slow reader holds up nobody.
    """

    def __init__(self, most: int = MOST) -> None:
        self._letters: deque[tuple[T, int]] = deque()
        self._notes: dict[Hashable, T] = {}
        self._size = 0
        self._most = most
        self._failure: Callable[[], DomainError] | None = None
        self._filled = asyncio.Event()

    def put(self, letter: T, rows: int = 1) -> None:
        """Keep a letter of that many rows. One too many, and the reader gets MailboxOverflow instead of any more."""
        self._size += rows
        if self._size > self._most:
            self.fail(lambda: MailboxOverflow(f"more than {self._most} rows were waiting to be read"))
        if self._failure is None:
            self._letters.append((letter, rows))
        self._filled.set()

    def fail(self, failure: Callable[[], DomainError]) -> None:
        """Let the reader have that error instead of what it has not read, and of any more."""
        self._failure = self._failure or failure
        self._letters.clear()
        self._notes.clear()
        self._filled.set()

    def note(self, key: Hashable, note: T) -> None:
        """Keep a note; an unread one of the same key is forgotten."""
        if self._failure is None:
            self._notes[key] = note
            self._filled.set()

    def forget(self, key: Hashable) -> None:
        """Drop the unread note of that key, if there is one."""
        self._notes.pop(key, None)

    @property
    def waiting(self) -> bool:
        """Whether there is anything to get, a failure included."""
        return bool(self._letters or self._notes or self._failure)

    async def get(self) -> T:
        """The next letter, or else the oldest note; waits for one.

        Raises:
            DomainError: The reader was too slow for its letters (MailboxOverflow), or gets what fail() was told.
        """
        while True:
            if self._failure is not None:
                raise self._failure()
            if self._letters:
                letter, rows = self._letters.popleft()
                self._size -= rows
                return letter
            if self._notes:
                return self._notes.pop(next(iter(self._notes)))
            self._filled.clear()
            await self._filled.wait()
