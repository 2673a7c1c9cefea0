"""What an exchange can do to its clients.

Everything is off until it is assigned, and the same seed errs the same way.
"""

from collections import deque
from dataclasses import dataclass, field

from collector.okx.simulator.dice import mix


@dataclass(slots=True)
class Answer:
    """An error instead of a subscription. `channel` is its whole name; it is given `times` times."""

    channel: str
    code: str
    message: str = "Simulated error"
    times: int = 1


@dataclass(slots=True)
class RestFault:
    """A REST answer that goes wrong, `times` times, for paths that end with `path`.

    With a status of 200 and no code the right answer is sent, late by `delay` seconds, or cut off in its middle.
    """

    path: str
    status: int = 200
    code: str = ""
    message: str = "Simulated error"
    delay: float = 0.0
    truncated: bool = False
    times: int = 1


@dataclass(slots=True)
class Faults:
    """Of one connection, or of all of them: `Simulator.faults` and `Connection.faults` both count."""

    stalled: bool = False
    """Nothing is pushed, and what would have been is lost; requests and pings are still answered."""
    silent: set[tuple[str, str]] = field(default_factory=set)
    """(channel, instrument): nothing of these is pushed, however often they are subscribed to."""
    half_open: bool = False
    """Nothing leaves any more and nothing is read, as if the other machine had lost its power."""
    duplicate_every: int = 0
    """Every so many pushes, one is sent twice."""
    reorder_window: int = 0
    """Pushes are held back until there are so many, and sent in another order."""
    skip_every: int = 0
    """One trade frame in so many is never pushed; REST has its matches."""
    malformed: int = 0
    """The next pushes are cut off in the middle."""
    answers: list[Answer] = field(default_factory=list)

    def answer(self, channel: str) -> Answer | None:
        """The error that a subscription to `channel` gets now, used up by one."""
        for answer in self.answers:
            if answer.channel == channel and answer.times > 0:
                answer.times -= 1
                return answer
        return None


@dataclass(slots=True)
class SharedFaults(Faults):
    """Those of the whole exchange."""

    refused: int = 0
    """The next connections are refused with HTTP 503."""
    openings: list[float] = field(default_factory=list)
    """Seconds that each of the next connections is under way before the exchange sees it, and counts it."""
    rest: list[RestFault] = field(default_factory=list)

    def for_path(self, path: str) -> RestFault | None:
        """What goes wrong with a request for `path` now, used up by one."""
        for fault in self.rest:
            if path.endswith(fault.path) and fault.times > 0:
                fault.times -= 1
                return fault
        return None


class Mangler:
    """Applies the faults of one connection to what is pushed to it."""

    def __init__(self, seed: int, *faults: Faults) -> None:
        self._seed = seed
        self._faults = faults
        self._count = 0
        self._held: deque[bytes] = deque()

    def pushes(self, frame: bytes, trade_id: int | None) -> list[bytes]:
        """The frames that leave when `frame` is pushed; `trade_id` says that it is one of trades."""
        self._count += 1
        out = [frame]
        window = 0
        for faults in self._faults:
            if faults.stalled or faults.half_open:
                return []
            if trade_id is not None and faults.skip_every and not mix(self._seed ^ trade_id) % faults.skip_every:
                return []
            if faults.malformed:
                faults.malformed -= 1
                out = [frame[: len(frame) // 2]]
            if faults.duplicate_every and not self._count % faults.duplicate_every:
                out = out * 2
            window = max(window, faults.reorder_window)
        if not window and not self._held:
            return out
        self._held.extend(out)
        return self._shuffled() if len(self._held) >= window else []

    def _shuffled(self) -> list[bytes]:
        order = sorted(range(len(self._held)), key=lambda place: mix(self._seed + self._count + place))
        if order == sorted(order):
            order.reverse()
        frames = [self._held[place] for place in order]
        self._held.clear()
        return frames
