"""Reading in turns: what came from the network and is not parsed yet, which is little, and when it goes on."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

SLICE = 4_096
"""Bytes that are parsed before others have their turn."""
_HEAD_END = b"\r\n\r\n"


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
