"""A time by which each operation ends, with one timer for all of them: one each would take 5 us of a small query."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Late(Exception):
    """The operation was ended: it took too long."""


class Deadline:
    """So many seconds for each operation."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun: dict[asyncio.Task[Any], float] = {}
        """The oldest first."""
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def kept(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, which runs in the caller's task; a task does this once at a time.

        Raises:
            Late: It did not end in time, and was cancelled.
        """
        task: Any = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._begun[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._end_late)
        try:
            return await work
        except asyncio.CancelledError as error:
            if task in self._late and task.uncancel() == 0:  # else somebody else wants it to end, too
                raise Late from error
            raise
        finally:
            del self._begun[task]
            self._late.discard(task)

    def _end_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, begun in self._begun.items():
            if begun + self.seconds > loop.time():
                self._timer = loop.call_at(begun + self.seconds, self._end_late)
                return
            if task not in self._late:
                self._late.add(task)
                task.cancel()
