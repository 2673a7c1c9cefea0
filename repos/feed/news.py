"""What travels on the bus."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from repos.domain import Bot, Candle, Series, Trade
from repos.events import BotEventKind, Change, CollectorReport, Deletion

ANNOUNCED_ROWS = 2_000
"""A larger write is announced without its rows; hubs that care read them."""


class Tape(NamedTuple):
    """The trades of one symbol: a topic of the feed."""

    exchange: str
    symbol: str


@dataclass(frozen=True, slots=True)
class CandleNews:
    """`series` reached `revision` by a write of final candles between the start times `first` and `last`.

    More than ANNOUNCED_ROWS candles do not travel, and those of a series that nobody follows are not read: then it
    arrives with None.
    """

    series: Series
    revision: int
    first: datetime
    last: datetime
    candles: list[Candle] | None


@dataclass(frozen=True, slots=True)
class DeletedNews:
    """`series` reached `revision` by a deletion of `count` candles, 0 where that is not known."""

    series: Series
    revision: int
    deletion: Deletion
    count: int = 0


@dataclass(frozen=True, slots=True)
class FormingNews:
    """Candles as they stand now, of any series, not final."""

    candles: list[Candle]


@dataclass(frozen=True, slots=True)
class TradeNews:
    """Trades were stored as raw_trades rows up to `last_id`; the tape's row before them was `previous_id` (0: none).

    Trades arrive, or do not, as candles do.
    """

    tape: Tape
    previous_id: int
    last_id: int
    trades: list[Trade] | None
    ids: list[int] | None = None
    """Of the trades' rows, where they were read from the table: a reader may have some of them. Does not travel."""


@dataclass(frozen=True, slots=True)
class GapNews:
    """The gap `id` in the trades between `after` and `before`, both included, could not be recovered; or, when it is
    open no more, it was after all."""

    tape: Tape
    id: int
    after: datetime
    before: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class BotNews:
    kind: BotEventKind
    bot: Bot


@dataclass(frozen=True, slots=True)
class CollectorNews:
    """How the collector named `source` is doing, and what it follows; None when it stops."""

    source: str
    report: CollectorReport | None


@dataclass(frozen=True, slots=True)
class AskCollectors:
    """Somebody began to listen: every collector is to report."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody began to follow the series: who has its forming candle may announce it."""

    series: Series


@dataclass(frozen=True, slots=True)
class Ping:
    """A hub's word to itself, which proves that news still arrives."""

    token: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The epoch is another: what was read so far says nothing of what comes. Told by a process to itself."""


Written = CandleNews | DeletedNews
"""What takes a revision of its series."""
News = Written | FormingNews | TradeNews | GapNews | BotNews | CollectorNews | AskCollectors | Ask | Ping | Expired


def news_of(series: Series, revision: int, changes: Sequence[Change]) -> Written:
    """The news of one revision: a deletion alone, or candles in the order of their starts."""
    candles: list[Candle] = []
    for change in changes:
        if isinstance(change, Deletion):
            return DeletedNews(series, revision, change)
        candles.append(change)
    return CandleNews(series, revision, candles[0].start_time, candles[-1].start_time, candles)
