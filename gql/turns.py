"""Reading in turns: what came from the network and is not parsed yet, which is little, and when it goes on."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

SLICE = 4_096
"""Bytes that are parsed before others have their turn."""
_HEAD_END = b"\r\n\r\n"


class Turns:
    """Of those who have more to read: one at a time, in the order in which they asked, and the whole rest of the loop's
    work in between. So who says little waits for one slice, however many there are who say much."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()
        self._next: asyncio.Handle | None = None

    def ask(self, read: Callable[[], None]) -> None:
        """Have it called; once, however often it is asked for."""
        self._waiting[read] = None
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._give)

    def is_asked(self, read: Callable[[], None]) -> bool:
        return read in self._waiting

    def drop(self, read: Callable[[], None]) -> None:
        """Not any more."""
        self._waiting.pop(read, None)

    def _give(self) -> None:
        self._next = None
        if self._waiting:
            read, _ = self._waiting.popitem(last=False)
            if self._waiting:
                self._next = asyncio.get_running_loop().call_soon(self._give)
            read()


class Unread:
    """Bytes that wait to be parsed."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def __len__(self) -> int:
        return len(self._bytes) - self._at

    def add(self, data: bytes) -> None:
        self._bytes = self._bytes[self._at :] + data if self else data
        self._at = 0

    def clear(self) -> bytes:
        """Keep nothing; return what was kept."""
        rest, self._bytes, self._at = self._bytes[self._at :], b"", 0
        return rest

    def take(self, body_left: int) -> memoryview:
        """The next piece, SLICE bytes at most, which ends with the body of which so many bytes are left, or else with
        the head: no second request is parsed by accident."""
        if body_left > 0:
            size = min(body_left, SLICE)
        else:
            end = self._bytes.find(_HEAD_END, self._at, self._at + SLICE)
            size = SLICE if end < 0 else end + len(_HEAD_END) - self._at
        piece = memoryview(self._bytes)[self._at : self._at + size]
        self._at += len(piece)
        if not self:
            self.clear()
        return piece


class Flow(FlowControl):
    """uvicorn's for writing. Of reading it only tells: `go_on` hears that what was paused may go on."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self.go_on = go_on

    def pause_reading(self) -> None:
        self.read_paused = True

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.go_on()
