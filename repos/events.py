"""What subscribers receive, and where they stand in what they have received."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from repos.domain import Bot, Candle, DataType, Series, Timeframe, Trade


class Deletion(NamedTuple):
    """The candles that started in [start, end) were deleted; `newest` is the newest start before them that was left."""

    start: datetime
    end: datetime
    newest: datetime | None

    def lowered(self, newest: datetime | None) -> datetime | None:
        """The newest start of a reader who knew `newest` to be that."""
        return self.newest if newest is not None and self.start <= newest < self.end else newest


Change = Candle | Deletion
"""What one row of the database tells of a series."""


class Position(NamedTuple):
    """Where a reader of one series stands in the order of writing.

    Every row of a revision below `revision` was seen; of `revision` itself those whose start_time is at most
    `start`, or all of them where that is None. `newest` is the newest start_time known to the reader: a row written
    later is a correction unless it is newer. All of that is so in the database's `epoch` alone (repos.epoch).
    """

    series: Series
    revision: int
    start: datetime | None
    newest: datetime | None
    epoch: str

    def after(self, revision: int, change: Change) -> "Position":
        """Where the reader stands who has read that change, too."""
        if isinstance(change, Deletion):
            return Position(self.series, revision, None, change.lowered(self.newest), self.epoch)
        start = change.start_time
        newest = start if self.newest is None else max(self.newest, start)
        return Position(self.series, revision, start, newest, self.epoch)


class TapePosition(NamedTuple):
    """Where a reader of one tape stands in the order of writing: the last raw_trades row that was seen, in `epoch`."""

    row: int
    epoch: str


class TimeRange(NamedTuple):
    """[start, end)."""

    start: datetime
    end: datetime


class CandleEventKind(Enum):
    SNAPSHOT = "snapshot"
    FORMING = "forming"
    CLOSED = "closed"
    CORRECTED = "corrected"
    GAP = "gap"
    DELETED = "deleted"
    NOT_COLLECTED = "not_collected"


class CandleEvent(NamedTuple):
    """GAP and DELETED have a range, `gap`, NOT_COLLECTED nothing, and all others a `candle`. Reading on from `position`
    loses nothing."""

    kind: CandleEventKind
    position: Position
    candle: Candle | None = None
    gap: TimeRange | None = None


class TradesEvent(NamedTuple):
    """Trades in the order of writing. Reading on from `position` loses nothing."""

    exchange: str
    symbol: str
    position: TapePosition
    trades: list[Trade]
    gap: TimeRange | None = None
    is_collected: bool = True
    """False alone in the first event of a tape that nobody collects and of which nothing is stored."""


class BotEventKind(Enum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class BotEvent:
    """What happened to a bot, which is shown as it is after that (before it, when deleted)."""

    kind: BotEventKind
    bot: Bot


@dataclass(frozen=True, slots=True)
class Refusal:
    """The exchange refuses a channel: the error's code and text, and since when, without a break."""

    code: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """How one collected channel of one symbol is doing."""

    exchange: str
    channel: str
    symbol: str
    connected: bool
    last_message_at: datetime | None = None
    reconnects: int = 0
    open_gaps: int = 0
    lag_ms: float | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """What a collector is configured to store of one symbol."""

    exchange: str
    symbol: str
    timeframes: tuple[Timeframe, ...]
    """Of the candles that it folds the symbol's trades into."""
    data_types: tuple[DataType, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Since when a batch waits to be stored, and why, in words that say nothing of the database's insides."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CollectorReport:
    """A collector's word on itself."""

    feeds: list[FeedHealth]
    followed: list[Followed]
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    connected: bool
    latency_ms: float | None
    pool_size: int
    pool_in_use: int


@dataclass(frozen=True, slots=True)
class BusHealth:
    """Whether news arrives in this process, and how many mailboxes wait for it."""

    connected: bool
    subscribers: int


@dataclass(frozen=True, slots=True)
class Health:
    healthy: bool
    checked_at: datetime
    database: DatabaseHealth
    feeds: list[FeedHealth]
    bus: BusHealth
    waiting: Waiting | None = None
    """The batch of any collector that has waited longest to be stored."""
