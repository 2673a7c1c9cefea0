"""The market's own vocabulary: values that never change once made, and are made only valid.

Prices and sizes are exact Decimals, as PostgreSQL prints them (50000, never 5E+4); instants are aware datetimes in UTC;
ranges of time are half-open.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from enum import Enum
from functools import cache, lru_cache
from math import isfinite
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(2262, 1, 1, tzinfo=UTC)
"""Exclusive: 64-bit nanoseconds since 1970 end in 2262."""
DIGITS, PLACES = 38, 18
"""A number has at most 38 digits, 18 of them after the point."""

EXACT = Context(prec=96, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""For sums of sizes. Python's default context rounds to 28 digits in silence; this one has room, or raises."""


class InvalidValue(ValueError):
    """A value that the domain refuses: `name` is the field or argument, `problem` says what is wrong with it."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,18})?", re.ASCII)


def exact(name: str, value: object) -> Decimal:
    """`value` (a Decimal, an int or a string of ASCII digits) as a Decimal within DIGITS and PLACES.

    Raises:
        InvalidValue: It is a float (inexact already), not finite, malformed or too long.
    """
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        if _PLAIN.fullmatch(value):  # nearly always: within all bounds by its form
            return Decimal(value)
        if len(value) > 2 * DIGITS or not _NUMBER.fullmatch(value):
            raise InvalidValue(name, f"{shown(value)} is not a decimal number such as 0.00000001")
        number = Decimal(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**DIGITS:
            raise InvalidValue(name, f"an integer of more than {DIGITS} digits")
        number = Decimal(value)
    elif isinstance(value, float):
        raise InvalidValue(name, f"{value!r} is a float, which is not exact; write it as a string or a Decimal")
    else:
        raise InvalidValue(name, f"{shown(value)} is not a decimal number such as 0.00000001")
    if not number.is_finite():
        raise InvalidValue(name, f"{number} is not finite")
    if not number:
        number = number.copy_abs()  # as PostgreSQL, whose zero has no sign
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent < -PLACES:
        raise InvalidValue(name, f"{shown(value)} has more than {PLACES} digits after the point")
    if len(digits) + max(exponent, 0) > DIGITS:
        raise InvalidValue(name, f"{shown(value)} has more than {DIGITS} digits")
    # 5E+4 is 50000, as it comes back from the database.
    return number if exponent <= 0 else Decimal(format(number, "f"))


def number(name: str, value: object) -> Decimal:
    """As `exact`, of a float too: the number that Python prints of it, so 0.1 is 0.1 and 50000.0 is 50000.

    Raises:
        InvalidValue: It is not finite, malformed or too long.
    """
    if not isinstance(value, float):
        return exact(name, value)
    # Not repr(value): NumPy's floats are floats too, and print more than the number.
    text = float.__repr__(value)
    if not isfinite(value):
        raise InvalidValue(name, f"{text} is not finite")
    return exact(name, text.removesuffix(".0"))


def instant(name: str, value: datetime) -> datetime:
    """`value` in UTC.

    Raises:
        InvalidValue: It is no datetime, has no offset, or lies outside 1970 to 2261.
    """
    if aware(name, value).tzinfo is not UTC:
        try:
            value = value.astimezone(UTC)
        except OverflowError as error:
            raise InvalidValue(name, f"{value.isoformat()} is outside the years 1970 to 2261") from error
    if not EPOCH <= value < END_OF_TIME:
        raise InvalidValue(name, f"{value.isoformat()} is outside the years 1970 to 2261")
    return value


def aware(name: str, value: datetime) -> datetime:
    """`value`, which has an offset from UTC.

    Raises:
        InvalidValue: It has none, or is no datetime.
    """
    of_type(name, value, datetime)
    if value.tzinfo is not UTC and value.utcoffset() is None:
        raise InvalidValue(name, f"{value.isoformat()} has no offset from UTC")
    return value


def of_type(name: str, value: object, kind: type) -> None:
    """Refuse what is not of the type; a boolean is no number.

    Raises:
        InvalidValue: It is of another one.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        what = {str: "a string", int: "a whole number", bool: "True or False"}.get(kind, f"a {kind.__name__}")
        raise InvalidValue(name, f"{shown(value)} is not {what}")


def integer(name: str, value: int, *, least: int = -(2**63), most: int = 2**63 - 1) -> None:
    """Refuse what is no whole number from `least` to `most`, by default those that the database's bigint holds.

    Raises:
        InvalidValue: It is none, or out of bounds.
    """
    of_type(name, value, int)
    if not least <= value <= most:
        raise InvalidValue(name, f"{shown(value)} is not between {least} and {most}")


def positive(name: str, value: object) -> None:
    """Refuse what is no finite number above zero.

    Raises:
        InvalidValue: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise InvalidValue(name, f"{shown(value)} is not a number above zero")


AHEAD = timedelta(minutes=1)
"""How far ahead of the clock an instant may be that only the past can have."""


def not_ahead(name: str, value: datetime, now: datetime | None = None) -> datetime:
    """`value`, which is not more than a minute ahead of `now`, by default this machine's clock.

    Raises:
        InvalidValue: It is.
    """
    now = now or datetime.now(UTC)
    if value > now + AHEAD:
        raise InvalidValue(name, f"{value.isoformat()} is more than a minute ahead of the clock, {now.isoformat()}")
    return value


def check_range(start: datetime | None, end: datetime | None) -> None:
    """Refuse a range that ends before it starts; a bound that is None is open.

    Raises:
        InvalidValue: start is after end.
    """
    if start is not None and end is not None and start > end:
        raise InvalidValue("start", f"{start.isoformat()} is after end {end.isoformat()}")


def label(name: str, value: str, *, limit: int = 64, spaces: bool = False) -> str:
    """`value`, when it is 1 to `limit` printable characters, without spaces unless `spaces`.

    Raises:
        InvalidValue: It is no string, empty, too long or holds a control character, a NUL byte included.
    """
    of_type(name, value, str)
    if not 1 <= len(value) <= limit or not value.isprintable() or (" " in value and not spaces):
        what = "printable characters" if spaces else "printable characters without spaces"
        raise InvalidValue(name, f"{shown(value)} is not 1 to {limit} {what}")
    return value


def shown(value: object) -> str:
    """`value` for an error's text, at most 80 characters of it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_TIMEFRAME = re.compile(r"([1-9][0-9]{0,9})([smhdwM])", re.ASCII)
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LARGER = (("s", 60, "m"), ("m", 60, "h"), ("h", 24, "d"))
_TEN_YEARS = timedelta(days=3653)
_MONDAY = EPOCH - timedelta(days=3)


class Timeframe(str):
    """The length of a candle, written as count and unit (s, m, h, d, w, M) in the largest unit that divides.

    A string everywhere it travels, so "60s" is equal to "1m" once made. Buckets count from 1970-01-01T00:00Z,
    weeks from Monday 1969-12-29, months from January 1970.

    Raises:
        InvalidValue: The text is no timeframe, or longer than ten years.
    """

    __slots__ = ("anchor", "length", "months")

    length: timedelta
    """Zero for months, whose length differs."""
    months: int
    """Zero for all other units."""
    anchor: datetime
    """Where buckets count from; months count from January 1970."""

    def __new__(cls, text: str) -> Self:
        if type(text) is cls:
            return text
        of_type("timeframe", text, str)
        return _timeframe(text)  # type: ignore[return-value]

    def floor(self, moment: datetime) -> datetime:
        """The start of the bucket that holds `moment` (UTC)."""
        if self.months:
            index = (moment.year - 1970) * 12 + moment.month - 1
            return _month(index - index % self.months)
        return moment - (moment - self.anchor) % self.length

    def end(self, start: datetime) -> datetime:
        """The exclusive end of the bucket that starts at `start`, which is the start of the next."""
        if self.months:
            return _month((start.year - 1970) * 12 + start.month - 1 + self.months)
        return start + self.length


def _month(index: int) -> datetime:
    return datetime(1970 + index // 12, index % 12 + 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def _timeframe(text: str) -> Timeframe:
    match = _TIMEFRAME.fullmatch(text)
    if match is None:
        raise InvalidValue("timeframe", f"{shown(text)} is not a count and a unit, such as 5s, 1m, 4h, 1d, 1w or 1M")
    count, unit = int(match[1]), match[2]
    for small, factor, large in _LARGER:
        if unit == small and count % factor == 0:
            count, unit = count // factor, large
    months = count if unit == "M" else 0
    if months > 120 or (not months and count > _TEN_YEARS // _UNITS[unit]):
        raise InvalidValue("timeframe", f"{text} is longer than ten years")
    made = str.__new__(Timeframe, f"{count}{unit}")
    made.months = months
    made.length = timedelta(0) if months else count * _UNITS[unit]
    made.anchor = _MONDAY if unit == "w" else EPOCH
    return made


class Series(NamedTuple):
    """One line of candles: an argument, a loader's key and a topic of the feed alike."""

    exchange: str
    symbol: str
    timeframe: Timeframe

    @classmethod
    def of(cls, exchange: str, symbol: str, timeframe: str) -> "Series":
        """The series of these names, checked.

        Raises:
            InvalidValue: A name is empty, too long or unprintable, or the timeframe is none.
        """
        return cls(label("exchange", exchange), label("symbol", symbol), Timeframe(timeframe))

    def __str__(self) -> str:
        return f"{self.exchange} {self.symbol} {self.timeframe}"


class Origin(Enum):
    """Where a candle comes from."""

    TRADES = "trades"
    """Folded from trades by our collector."""
    EXCHANGE = "exchange"
    """The exchange's own candle."""
    CLIENT = "client"
    """Written by a client."""


class Row(Mapping[str, Any]):
    """A dataclass whose fields can be read by key too: row["close"] is row.close, and dict(row) has them all."""

    __slots__ = ()
    ALSO: ClassVar[tuple[str, ...]] = ()
    """Properties that are keys too."""

    def __getitem__(self, name: str) -> Any:
        if name not in _keys(type(self)):
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_keys(type(self)))

    def __len__(self) -> int:
        return len(_keys(type(self)))


@cache
def _keys(kind: Any) -> tuple[str, ...]:
    return (*(each.name for each in fields(kind)), *kind.ALSO)


@dataclass(frozen=True, slots=True)
class Candle(Row):
    """Open, high, low, close and volume of [start_time, end_time).

    `volume` is in base currency for spot, in contracts for derivatives. `trade_count` is None where the source
    does not say. A candle that is not final is still forming and is never stored.

    Raises:
        InvalidValue: A name, a number or an instant is out of bounds; start_time is not aligned to the timeframe;
            end_time is not start_time plus the timeframe; or not low <= open, close <= high.
    """

    exchange: str
    symbol: str
    timeframe: Timeframe
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int | None
    start_time: datetime
    end_time: datetime
    origin: Origin = Origin.CLIENT
    is_final: bool = True

    ALSO = ("timestamp",)

    def __post_init__(self) -> None:
        put = object.__setattr__
        label("exchange", self.exchange)
        label("symbol", self.symbol)
        put(self, "timeframe", Timeframe(self.timeframe))
        for name in ("open", "high", "low", "close", "volume"):
            put(self, name, number(name, getattr(self, name)))
        put(self, "start_time", instant("start_time", self.start_time))
        put(self, "end_time", instant("end_time", self.end_time))
        if self.timeframe.floor(self.start_time) != self.start_time:
            raise InvalidValue(
                "start_time", f"{self.start_time.isoformat()} is not the start of a {self.timeframe} candle"
            )
        if self.timeframe.end(self.start_time) != self.end_time:
            right = self.timeframe.end(self.start_time).isoformat()
            raise InvalidValue(
                "end_time", f"{self.end_time.isoformat()} is not {right}, the start plus {self.timeframe}"
            )
        for name in ("open", "high", "close"):
            if getattr(self, name) < self.low:
                raise InvalidValue("low", f"{self.low} is above {name} {getattr(self, name)}")
        for name in ("open", "close"):
            if getattr(self, name) > self.high:
                raise InvalidValue("high", f"{self.high} is below {name} {getattr(self, name)}")
        if self.volume < 0:
            raise InvalidValue("volume", f"{self.volume} is negative")
        if self.trade_count is not None:
            integer("trade_count", self.trade_count, least=0, most=2**31 - 1)
        of_type("origin", self.origin, Origin)
        of_type("is_final", self.is_final, bool)

    @classmethod
    def stored(cls, *values: Any) -> "Candle":
        """The candle of these values, in the order of its fields, which were checked when they were stored."""
        candle = object.__new__(cls)
        for put, value in zip(_CANDLE_SLOTS, values, strict=True):
            put(candle, value)
        return candle

    @property
    def series(self) -> Series:
        return Series(self.exchange, self.symbol, self.timeframe)

    @property
    def timestamp(self) -> datetime:
        """The chart's time: the same as start_time."""
        return self.start_time


OHLCVCandle = Candle
_CANDLE_SLOTS = [getattr(Candle, field.name).__set__ for field in fields(Candle)]


class DataType(Enum):
    """What a piece of raw exchange data is about."""

    TICKER = "ticker"
    TRADE = "trade"
    ORDERBOOK = "orderbook"
    CANDLE = "candle"


def data_type_named(name: str) -> str:
    """The name of a data type: one of DataType's in any case, or another one as it is written.

    Raises:
        InvalidValue: It is no label.
    """
    known = label("data_type", name).lower()
    return known if known in {each.value for each in DataType} else name


@dataclass(frozen=True, slots=True)
class MarketDataPoint:
    """One object as the exchange sent it. `data` is kept whole."""

    exchange: str
    symbol: str
    timestamp: datetime
    data_type: DataType
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        label("exchange", self.exchange)
        label("symbol", self.symbol)
        object.__setattr__(self, "timestamp", instant("timestamp", self.timestamp))
        of_type("data_type", self.data_type, DataType)
        of_type("data", self.data, Mapping)


class Side(Enum):
    """The taker's side."""

    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class Trade(Row):
    """A match, or several of one taker at one price: `count` of them, with the ids first_id to trade_id."""

    exchange: str
    symbol: str
    trade_id: int
    timestamp: datetime
    price: Decimal
    size: Decimal
    side: Side
    count: int = 1

    def __post_init__(self) -> None:
        put = object.__setattr__
        if type(self.exchange) is not str or type(self.symbol) is not str:  # nearly never: this runs with each trade
            of_type("exchange", self.exchange, str)
            of_type("symbol", self.symbol, str)
        of_type("trade_id", self.trade_id, int)  # not bounded: those of a later numbering are told apart by higher ones
        put(self, "timestamp", instant("timestamp", self.timestamp))
        for name in ("price", "size"):
            if type(getattr(self, name)) is not Decimal:
                put(self, name, number(name, getattr(self, name)))
        of_type("side", self.side, Side)
        integer("count", self.count, least=1)

    @property
    def first_id(self) -> int:
        return self.trade_id - self.count + 1


@dataclass(frozen=True, slots=True)
class Gap:
    """The trades first_missing_id to last_missing_id are missing; they happened from `after` to `before`, inclusive."""

    exchange: str
    symbol: str
    first_missing_id: int
    last_missing_id: int
    after: datetime
    before: datetime

    def __post_init__(self) -> None:
        label("exchange", self.exchange)
        label("symbol", self.symbol)
        integer("first_missing_id", self.first_missing_id)
        integer("last_missing_id", self.last_missing_id)
        aware("after", self.after)
        aware("before", self.before)


class TradeRecord(NamedTuple):
    """A trade together with the exchange's own JSON text of it, which is stored whole."""

    trade: Trade
    raw: str


@dataclass(frozen=True, slots=True)
class RawTrade(Row):
    """A stored row of raw exchange data. `trade` is its content decoded, where that can be done.

    `raw_data` is never None: a JSON null, which others wrote, is its text.
    """

    id: int
    exchange: str
    symbol: str
    timestamp: datetime
    data_type: str
    raw_data: Any
    trade: Trade | None
    received_at: datetime


class BotStatus(Enum):
    INACTIVE = "inactive"
    ACTIVE = "active"
    PAUSED = "paused"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Bot(Row):
    """A trading bot's record. `version` grows by one with every change; a heartbeat is no change."""

    id: int
    name: str
    strategy_name: str
    exchange: str
    symbol: str
    timeframe: Timeframe
    status: BotStatus
    virtual_balance: Decimal
    config: dict[str, Any]
    last_heartbeat: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def series(self) -> Series:
        return Series(self.exchange, self.symbol, self.timeframe)

    @property
    def last_sign(self) -> datetime:
        """The last sign of life: a heartbeat or, before the first, a change."""
        return self.last_heartbeat or self.updated_at

    def is_stale(self, now: datetime, timeout: timedelta) -> bool:
        """Whether it is active and gave no sign of life within `timeout`."""
        return self.status is BotStatus.ACTIVE and self.last_sign < now - timeout


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an exchange trades. `contract_value` is coins a contract; None for spot, and where it is worth dollars."""

    exchange: str
    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    contract_value: Decimal | None
    state: str

    def __post_init__(self) -> None:
        for name in ("exchange", "symbol", "state"):
            of_type(name, getattr(self, name), str)
        for name in ("tick_size", "lot_size"):
            of_type(name, getattr(self, name), Decimal)
        if self.contract_value is not None:
            of_type("contract_value", self.contract_value, Decimal)


@dataclass(frozen=True, slots=True)
class Market:
    """A stored series, with its span and count."""

    series: Series
    first_time: datetime | None
    last_time: datetime | None
    candle_count: int
    revision: int = field(default=0, compare=False)
    """Of the series, when this was read."""


@dataclass(frozen=True, slots=True)
class Stats(Row):
    """Counts above a million are the planner's estimate, and then `exact` is False. Rates are rows a second of late."""

    healthy: bool
    bot_count: int
    candle_count: int
    raw_trade_count: int
    exact: bool
    database_bytes: int
    candles_per_second: float
    trades_per_second: float
    uptime_seconds: float


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows in ascending order. Both flags are exact."""

    rows: Sequence[T]
    has_next: bool
    has_previous: bool
