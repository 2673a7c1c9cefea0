"""The state of one websocket connection to OKX, without I/O: what to send and when, what answers mean.

Times are seconds of any one clock that does not go back.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from math import inf

from collector.okx.protocol import (
    ARGS_PER_REQUEST,
    PING,
    Arg,
    Event,
    Notice,
    Op,
    Points,
    Pong,
    Refused,
    Subscribed,
    Trades,
    Unsubscribed,
    parse_frame,
    request,
)
from repos.domain import Trade

PING_EVERY = 1.0
"""The server hangs up on a connection that is silent for 30 s. But only a pong tells how far one has been heard, and
the candles of a quiet market wait for that."""
PONG_WITHIN = 10.0
ASK_AGAIN_AFTER = 60.0
"""For an arg without an answer. Once a minute stays far below the 480 requests an hour of a connection."""

UNKNOWN = "60018"
"""There is no such symbol or channel. A symbol may be listed at any moment."""
ASK_UNKNOWN_AFTER = 300.0
"""Seconds after which a symbol that the exchange did not know is asked for again."""
UPGRADE = "64008"
_TRANSIENT = frozenset({"60014", "64007"})
"""Too many requests; an internal error, to be tried again. Every other but UNKNOWN is the last word on its arg."""


def is_newer(trade: Trade, than: Trade) -> bool:
    """Whether it happened after `than`: it has a higher id, or is later, where the exchange began its ids anew."""
    return trade.timestamp > than.timestamp or (trade.timestamp == than.timestamp and trade.trade_id > than.trade_id)


class Session:
    """One connection, from its opening on. A new connection is a new session.

    Send what frames() returns when the connection opens, after every subscribe or unsubscribe, and at
    wake_at() at the latest; hand what arrives to received(). A wanted arg is pending, then active or refused; one whose
    symbol the exchange does not know is wanted still, and pending again when it is asked for the next time.
    """

    active: set[Arg]
    """Acknowledged by the exchange."""
    refused: dict[Arg, str]
    """Refused on this connection, with the error's code. Only UNKNOWN is asked for again without a subscribe()."""
    last_message_at: float
    """When anything arrived last, pongs included; at first when the connection opened."""
    heard_until: float
    """What the exchange had sent by then has all arrived: when the last ping that it answered was sent; at first when
    the connection opened."""
    last_data_at: dict[Arg, float]
    """When data of an arg arrived last; for one without data yet, when it was acknowledged."""
    newest: dict[Arg, Trade]
    """The latest trade of each channel of trades."""
    is_ending: bool
    """Another connection is to take over: this one is given up, or the exchange closes it in about a minute."""

    def __init__(self, args: Iterable[Arg], now: float) -> None:
        self.active = set()
        self.refused = {}
        self.last_message_at = self.heard_until = now
        self.last_data_at = {}
        self.newest = {}
        self.is_ending = False
        self._wanted = dict.fromkeys(args)
        self._asked: dict[Arg, tuple[str, float]] = {}  # the request's id, and when
        self._alone: set[Arg] = set()  # to be asked for one by one, so that an error names its arg
        self._later: dict[Arg, float] = {}  # when one that the exchange did not know is asked for again
        self._leaving: dict[Arg, None] = {}
        self._ids = map(str, count(1))
        self._ask_at = -inf
        self._ping_at = now + PING_EVERY
        self._pinged_at: float | None = None
        """When a ping was sent that is not answered yet."""

    @property
    def pending(self) -> set[Arg]:
        """Wanted, and neither acknowledged nor refused yet."""
        return self._wanted.keys() - self.active - self._later.keys()

    def subscribe(self, args: Iterable[Arg]) -> None:
        """Want these args too. One that is active or asked for already is not asked for again."""
        for arg in args:
            self.refused.pop(arg, None)
            self._later.pop(arg, None)
            self._leaving.pop(arg, None)
            self._wanted[arg] = None
        self._ask_at = -inf

    def postpone(self, args: Iterable[Arg], now: float) -> None:
        """Want these args, which the exchange does not know at the moment, and ask for them in a few minutes."""
        for arg in args:
            self._wanted[arg] = None
            self.refused[arg] = UNKNOWN
            self._later[arg] = now + ASK_UNKNOWN_AFTER
            self._ask_at = min(self._ask_at, self._later[arg])

    def ask_again(self) -> None:
        """Ask at once for what is postponed."""
        self.subscribe(list(self._later))

    def unsubscribe(self, args: Iterable[Arg]) -> None:
        """Want these args no more."""
        for arg in args:
            if arg in self.active or arg in self._asked:
                self._leaving[arg] = None
            self._forget(arg)

    def resubscribe(self, args: Iterable[Arg]) -> None:
        """Have those that are active ended. When the exchange has acknowledged that, they are asked for again."""
        self._leaving.update(dict.fromkeys(arg for arg in args if arg in self.active))

    def frames(self, now: float) -> list[str]:
        """Everything that is to be sent now, in order."""
        frames: list[str] = []
        if self._leaving:
            frames += self._requests("unsubscribe", list(self._leaving), ARGS_PER_REQUEST, now)
            self._leaving.clear()
        if now >= self._ask_at:
            due = [arg for arg in self._wanted if arg not in self.active and self._due_at(arg) <= now]
            together = [arg for arg in due if arg not in self._alone]
            frames += self._requests("subscribe", together, ARGS_PER_REQUEST, now)
            frames += self._requests("subscribe", [arg for arg in due if arg in self._alone], 1, now)
            self._alone.clear()
            self._ask_at = min(map(self._due_at, self._wanted.keys() - self.active), default=inf)
        if self._pinged_at is None and now >= self._ping_at:
            frames.append(PING)
            self._pinged_at = now
            self._ping_at = now + PING_EVERY
        return frames

    def wake_at(self) -> float:
        """When frames() or is_overdue() will have something to say, should nothing arrive before."""
        ping_at = self._ping_at if self._pinged_at is None else self._pinged_at + PONG_WITHIN
        return min(ping_at, self._ask_at)

    def is_overdue(self, now: float) -> bool:
        """Whether a ping has gone unanswered for PONG_WITHIN: the connection is dead."""
        return self._pinged_at is not None and now >= self._pinged_at + PONG_WITHIN

    def received(self, text: str, now: float) -> list[Event]:
        """What a frame says, for the caller too.

        A Refused names its arg when it is the last word on it, which the frame alone often does not say. With
        arg None it is a failure that will be asked about again, or one that concerns no wanted arg.
        """
        self.last_message_at = now
        events = parse_frame(text)
        for position, event in enumerate(events):
            match event:
                case Trades(arg, records):
                    self.last_data_at[arg] = now
                    trade = records[-1].trade
                    if arg not in self.newest or is_newer(trade, self.newest[arg]):
                        self.newest[arg] = trade
                case Points(arg):
                    self.last_data_at[arg] = now
                case Pong() if self._pinged_at is not None:
                    self.heard_until, self._pinged_at = self._pinged_at, None
                case Subscribed(arg) if arg in self._wanted:
                    self.active.add(arg)
                    self.last_data_at[arg] = now
                    self._asked.pop(arg, None)
                    self._later.pop(arg, None)
                    self.refused.pop(arg, None)
                case Unsubscribed(arg):
                    # One that is wanted (again) is asked for, should the acknowledgements have crossed.
                    self.active.discard(arg)
                    self._ask_at = now
                case Notice(code) if code == UPGRADE:
                    self.is_ending = True
                case Refused():
                    events[position] = self._settle(event, now)
        return events

    def _settle(self, error: Refused, now: float) -> Refused:
        """`error` with the arg that it ends, if it ends one."""
        if error.code in _TRANSIENT:
            return replace(error, arg=None)
        asked = [arg for arg, (request_id, _) in self._asked.items() if request_id == error.request_id]
        if error.arg in self._wanted and (error.request_id is None or error.arg in asked):
            arg = error.arg
        elif len(asked) == 1:
            (arg,) = asked
        elif asked:
            for each in asked:
                del self._asked[each]
            self._alone.update(asked)
            self._ask_at = -inf
            return replace(error, arg=None)
        elif error.request_id is None and len(self.pending) == 1:
            (arg,) = self.pending
        else:
            return replace(error, arg=None)
        self._forget(arg)
        self.refused[arg] = error.code
        if error.code == UNKNOWN:
            self.postpone([arg], now)
        return replace(error, arg=arg)

    def _forget(self, arg: Arg) -> None:
        self._wanted.pop(arg, None)
        self._asked.pop(arg, None)
        self._later.pop(arg, None)
        self._alone.discard(arg)
        self.active.discard(arg)

    def _due_at(self, arg: Arg) -> float:
        if arg in self._later:
            return self._later[arg]
        return self._asked[arg][1] + ASK_AGAIN_AFTER if arg in self._asked else -inf

    def _requests(self, op: Op, args: list[Arg], size: int, now: float) -> list[str]:
        frames = []
        for first in range(0, len(args), size):
            some, request_id = args[first : first + size], next(self._ids)
            frames.append(request(op, some, request_id))
            if op == "subscribe":
                self._asked.update(dict.fromkeys(some, (request_id, now)))
                for arg in some:
                    self._later.pop(arg, None)
                    self.refused.pop(arg, None)
        return frames
