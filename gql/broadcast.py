"""Equal subscriptions executed once: what an event becomes is written to everyone who asked for the same.

A subscription begins alone, with its own snapshot or resume. Once it has read all news, it joins those that ask the
same and stand at the same place. A client that reads too slowly leaves them and goes on alone, with its own mailbox.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import orjson
import structlog

from gql.frames import Connection, text_frame
from gql.selection import Selection
from repos.feed.news import Expired, News
from repos.feed.reading import Reading, place

log = structlog.get_logger(__name__)

Leave = Callable[[str, Selection, Reading[Any], ExitStack], None]
"""Lets the operation of that name go on alone with a reading that stays registered until the stack is closed."""


def next_text(name: str, payload: bytes) -> bytes:
    """The message `next` of the operation `name`: JSON."""
    return b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(name), payload)


class Member:
    """A subscription that takes part in a broadcast."""

    __slots__ = ("_broadcast", "leave", "name", "write")

    def __init__(self, broadcast: "Broadcast", name: str, connection: Connection, leave: Leave) -> None:
        self._broadcast = broadcast
        self.name = name
        self.write = connection.write
        self.leave = leave

    def cancel(self) -> None:
        """End it."""
        self._broadcast.remove(self)


class Broadcasts:
    """Those of one process; each lasts from its first member to its last."""

    def __init__(self) -> None:
        self._running: dict[object, Broadcast] = {}
        self._busy: list[Broadcast] = []
        """Those that wrote in this turn of the event loop."""

    def join(
        self, selection: Selection, reading: Reading[Any], name: str, connection: Connection, leave: Leave
    ) -> Member | None:
        """Make a member of one who reads alone; None while it must go on alone, because it has not read all news, its
        client is slow, or the others stand elsewhere."""
        if reading.waiting or not connection.writable.is_set():
            return None
        key = (*selection.key, reading.key)
        broadcast = self._running.get(key)
        if broadcast is None:
            ended = partial(self._running.pop, key)
            broadcast = self._running[key] = Broadcast(selection, reading, self._wrote, ended)
        elif broadcast.place != reading.place:
            return None
        return broadcast.add(name, connection, leave)

    def _wrote(self, broadcast: "Broadcast") -> None:
        if not self._busy:
            asyncio.get_running_loop().call_soon(self._turn)
        self._busy.append(broadcast)

    def _turn(self) -> None:
        busy, self._busy = self._busy, []
        for broadcast in busy:
            broadcast.turn()


class Broadcast:
    """One selection of one topic for members that stand at one place.

    News is written at once, but once in a turn of the event loop: that takes some 8 us a member, and what was heard
    meanwhile is written together after it. So news that comes faster than it can be written is kept up with.
    """

    def __init__(
        self,
        selection: Selection,
        reading: Reading[Any],
        wrote: Callable[["Broadcast"], None],
        ended: Callable[[], object],
    ) -> None:
        """`wrote` has turn() called in the next turn of the event loop."""
        self._selection = selection
        self._topics = reading.topics
        self._topic = reading.key
        self._step = reading.step
        self._position = self._written = reading.position
        self._unwritten: list[tuple[News, list[bytes]]] = []
        self._wrote = wrote
        self._is_busy = False
        self._members: dict[str, dict[Member, None]] = {}
        self._following = ExitStack()
        self._following.callback(ended)
        self._following.enter_context(self._topics.follow([self._topic], self._deliver, count=0))

    @property
    def place(self) -> object:
        return place(self._position)

    def add(self, name: str, connection: Connection, leave: Leave) -> Member:
        self._write()  # which the new one has read by itself
        member = Member(self, name, connection, leave)
        self._members.setdefault(name, {})[member] = None
        self._topics.followers += 1
        return member

    def remove(self, member: Member) -> None:
        of_its_name = self._members[member.name]
        del of_its_name[member]
        self._topics.followers -= 1
        if not of_its_name:
            del self._members[member.name]
        if not self._members:
            self._following.close()

    def _deliver(self, news: News) -> None:
        if isinstance(news, Expired):
            self._write()
            self._dismiss_all(news)  # alone, each tells its own client
            return
        events = self._step(news, self._position)
        if not events:
            return
        try:
            payloads = [self._selection.payload(event) for event in events]
        except Exception as error:  # It must not reach the feed; alone, each tells its own client.
            log.error("An event could not be shared", exc_info=error)
            self._write()
            self._dismiss_all(news)
            return
        self._position = events[-1].position
        self._unwritten.append((news, payloads))
        if not self._is_busy:
            self._is_busy = True
            self._wrote(self)
            self._write()

    def turn(self) -> None:
        """Write what came since, in this turn of the event loop."""
        self._is_busy = False
        self._write()

    def _write(self) -> None:
        """Write what was delivered. Who reads too slowly gets nothing of it, and goes on alone."""
        if not self._unwritten:
            return
        unwritten, self._unwritten = self._unwritten, []
        before, self._written = self._written, self._position
        slow: list[Member] = []
        for name, members in self._members.items():
            frames = b"".join(
                [text_frame(next_text(name, payload)) for _, payloads in unwritten for payload in payloads]
            )
            slow += [member for member in members if not member.write(frames)]
        if slow:
            self._dismiss(slow, before, [news for news, _ in unwritten])

    def _dismiss_all(self, unread: News) -> None:
        self._dismiss([member for members in self._members.values() for member in members], self._position, [unread])

    def _dismiss(self, members: Sequence[Member], position: Any, unread: Sequence[News]) -> None:
        """Let them go on alone from `position`, beginning with `unread`."""
        for member in members:
            reading = Reading(self._topics, self._topic, self._step, position=position)
            for news in unread:
                reading.keep(news)
            registered = ExitStack()
            registered.enter_context(reading.registered())
            self.remove(member)
            member.leave(member.name, self._selection, reading, registered)
