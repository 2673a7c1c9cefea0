"""OKX's candle lengths and where they are cut.

Lengths below 6 hours are cut on UTC. From 6 hours on, a name without "utc" is cut on UTC+8 (a day opens at 16:00Z) and
one with "utc" on UTC. Weeks begin on Monday; bars of several days are counted from 1970-01-01.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

_UTC_PLUS_8 = 8 * 3_600_000
_DAY = 86_400_000
_MONDAY = -3 * _DAY
"""Monday 1969-12-29."""
_UNITS = {"s": 1_000, "m": 60_000, "H": 3_600_000, "D": _DAY, "W": 7 * _DAY}
_SHORT = ("1s", "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H")
_LONG = ("6H", "12H", "1D", "2D", "3D", "5D", "1W", "1M", "3M")
NAMES = frozenset(_SHORT + _LONG + tuple(f"{name}utc" for name in _LONG))
"""Every `bar` that REST takes; the channels are the same with "candle" in front."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle length. Instants are ms since 1970."""

    length: int
    """Zero for months."""
    months: int
    shift: int
    """Cut where (time + shift) divides by the length."""

    def floor(self, moment: int) -> int:
        """The opening time of the bar that holds `moment`."""
        if self.months:
            index = _month_of(moment + self.shift)
            return _month_start(index - index % self.months) - self.shift
        return moment - (moment + self.shift) % self.length

    def after(self, start: int) -> int:
        """The opening time of the bar after the one that opens at `start`."""
        if self.months:
            return _month_start(_month_of(start + self.shift) + self.months) - self.shift
        return start + self.length

    def before(self, start: int) -> int:
        """The opening time of the bar before the one that opens at `start`."""
        return self.floor(start - 1)


@lru_cache(maxsize=64)
def bar(name: str) -> Bar | None:
    """The bar of this name, or None when the exchange has none."""
    if name not in NAMES:
        return None
    text = name.removesuffix("utc")
    count, unit = int(text[:-1]), text[-1]
    shift = _UTC_PLUS_8 if name in _LONG else 0
    if unit == "M":
        return Bar(0, count, shift)
    return Bar(count * _UNITS[unit], 0, shift - (_MONDAY if unit == "W" else 0))


def _month_of(moment: int) -> int:
    date = datetime.fromtimestamp(moment // 1000, UTC)
    return (date.year - 1970) * 12 + date.month - 1


def _month_start(index: int) -> int:
    return int(datetime(1970 + index // 12, index % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000
