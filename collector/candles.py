"""The fold: trades in, one candle out. Pure, exact, and the same in whatever order the trades come.

Open is the price of the lowest trade id and close that of the highest: trades of one order share their
timestamp, so time alone does not order them.
"""

from datetime import datetime
from decimal import Decimal

from collector.ids import Runs
from repos.domain import EXACT, Candle, Origin, Series, Trade

_sum = EXACT.add


class Fold:
    """Prices, volume and count of one or more trades, none of them given twice."""

    __slots__ = ("close", "count", "first_id", "high", "last_id", "low", "open", "volume")

    def __init__(self, trade: Trade) -> None:
        self.open = self.high = self.low = self.close = trade.price
        self.volume = trade.size
        self.count = trade.count
        self.first_id = trade.first_id
        self.last_id = trade.trade_id

    def add(self, trade: Trade) -> None:
        price = trade.price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if trade.trade_id > self.last_id:
            self.close = price
            self.last_id = trade.trade_id
        elif trade.first_id < self.first_id:
            self.open = price
            self.first_id = trade.first_id
        self.volume = _sum(self.volume, trade.size)
        self.count += trade.count

    def merge(self, other: "Fold") -> None:
        """Add all trades of `other`: a minute's into its hour's."""
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        if other.last_id > self.last_id:
            self.close = other.close
            self.last_id = other.last_id
        if other.first_id < self.first_id:
            self.open = other.open
            self.first_id = other.first_id
        self.volume = _sum(self.volume, other.volume)
        self.count += other.count

    def copy(self) -> "Fold":
        made = object.__new__(Fold)
        for name in Fold.__slots__:
            setattr(made, name, getattr(self, name))
        return made


class Bucket:
    """The trades of one candle, [start, end) of their timestamps, and which ids they hold.

    `whole` tells that it holds every stored trade of its time; otherwise it must be folded anew from those. `edges`
    are ids next to its own that are known to be stored, though not seen by this process. `changed` since it was
    announced (`announced`: when, by the announcer's clock); `reported` as ended without being covered.
    """

    __slots__ = ("announced", "changed", "edges", "end", "fold", "ids", "reported", "series", "start", "whole")

    def __init__(self, series: Series, start: datetime, whole: bool = True) -> None:
        self.series = series
        self.start = start
        self.end = series.timeframe.end(start)
        self.fold: Fold | None = None
        self.ids = Runs()
        self.whole = whole
        self.edges: set[int] = set()
        self.changed = False
        self.announced: float | None = None
        self.reported = False

    @property
    def first_id(self) -> int:
        """The lowest id; it must hold a trade."""
        return self.ids.first

    @property
    def last_id(self) -> int:
        """The highest id; it must hold a trade."""
        return self.ids.last

    def clear(self) -> None:
        """Forget all trades, and what was found out about their ids."""
        self.fold = None
        self.ids = Runs()
        self.edges = set()

    def add(self, trade: Trade) -> bool:
        """Count `trade`, once however often it is given.

        Returns False when some of its ids are counted already and some are not: an aggregate over single matches.
        Which part of its size is new cannot be told, so it is left out, and a fold of the stored trades must
        settle it.
        """
        first, last = trade.first_id, trade.trade_id
        if self.ids.meets(first, last):
            return self.ids.covers(first, last)
        if self.fold is None:
            self.fold = Fold(trade)
        else:
            self.fold.add(trade)
        self.ids.add(first, last)
        self.changed = True
        return True

    def merge(self, fold: Fold) -> None:
        """Count the trades of `fold`: an unbroken run of ids, none of which is counted yet."""
        if self.fold is None:
            self.fold = fold.copy()
        else:
            self.fold.merge(fold)
        self.ids.add(fold.first_id, fold.last_id)
        self.changed = True

    @property
    def is_unbroken(self) -> bool:
        """Whether no id is missing between its first and its last."""
        fold = self.fold
        return fold is not None and fold.count == fold.last_id - fold.first_id + 1

    def candle(self, is_final: bool) -> Candle | None:
        """What its trades make; None while it holds no trade.

        Raises:
            InvalidValue: The sum of sizes or of counts, or its time, is beyond what a candle can hold.
        """
        fold = self.fold
        if fold is None:
            return None
        prices = (fold.open, fold.high, fold.low, fold.close)
        bounds = (self.start, self.end)
        return Candle(*self.series, *prices, fold.volume, fold.count, *bounds, Origin.TRADES, is_final)


def numbers(candle: Candle) -> tuple[Decimal, ...]:
    """What two candles of the same time agree in, or not: open, high, low, close and volume."""
    return candle.open, candle.high, candle.low, candle.close, candle.volume
