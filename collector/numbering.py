"""Trade ids that an exchange begins anew, told apart: a trade is known by its id and its time."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.ids import Runs
from repos.domain import END_OF_TIME, EPOCH, Trade

SLIP = timedelta(minutes=1)
"""Within one numbering times ascend with ids, but for steps back of the exchange's clock, which are shorter."""
_KEPT = 16
_RUNS_KEPT = 256
_ROOM = 1 << 80
"""Between the numbers of two numberings: what each of them still has to tell falls in between."""


@dataclass(slots=True)
class _Numbering:
    """Ids that ascend: `first` to `last` were seen, from `since` to `latest`. With `base` added they are numbers."""

    base: int
    first: int
    last: int
    since: datetime
    latest: datetime


class Numberings:
    """Gives the trades of a symbol numbers that ascend for ever: their ids, as long as these did not begin anew."""

    def __init__(self) -> None:
        self._all: list[_Numbering] = []
        """Ascending by time."""
        self._known = Runs()

    def numbered(self, trade: Trade) -> Trade:
        """`trade` with its number for an id."""
        found = self._find(trade)
        found.first, found.last = min(found.first, trade.first_id), max(found.last, trade.trade_id)
        found.since, found.latest = min(found.since, trade.timestamp), max(found.latest, trade.timestamp)
        self._known.add(trade.first_id + found.base, trade.trade_id + found.base)
        if len(self._known) > _RUNS_KEPT:
            self._known.keep(_RUNS_KEPT)
        return replace(trade, trade_id=trade.trade_id + found.base) if found.base else trade

    def extend(self, first: int, last: int, moment: datetime) -> None:
        """The numbers `first` to `last` follow the highest of a numbering, the last of them at `moment`."""
        found = self._of(first - 1)
        found.last = last - found.base
        found.latest = max(found.latest, moment)
        self._known.add(first, last)

    def base(self, number: int) -> int:
        """What is to be taken from the number of a trade that was seen, or from its neighbours', to have the id."""
        return self._of(number).base

    def span(self, number: int) -> tuple[datetime, datetime]:
        """Between when ids can have counted as they did for this trade."""
        place = self._all.index(self._of(number))
        after = self._all[place - 1].latest if place else EPOCH
        before = self._all[place + 1].since if place + 1 < len(self._all) else END_OF_TIME
        return after, before

    def border(self, after: datetime, before: datetime) -> tuple[int, int] | None:
        """The highest and the lowest number seen beside a new beginning of the ids between these two times."""
        for old, new in zip(self._all, self._all[1:], strict=False):
            if after <= old.latest and new.since <= before:
                return old.base + old.last, new.base + new.first
        return None

    def _of(self, number: int) -> _Numbering:
        """The last that begins at the number or before."""
        place = bisect_right(self._all, number, key=lambda one: one.base + one.first)
        return self._all[max(place - 1, 0)]

    def _find(self, trade: Trade) -> _Numbering:
        moment = trade.timestamp
        place = bisect_right(self._all, moment, key=lambda one: one.since)
        sooner = self._all[place - 1] if place else None
        later = self._all[place] if place < len(self._all) else None
        if sooner and (moment <= sooner.latest or trade.trade_id > sooner.last):
            return sooner
        if later and (trade.trade_id < later.first or self._slipped(later, trade, later.since - moment)):
            return later
        if sooner and self._slipped(sooner, trade, moment - sooner.latest):
            return sooner
        return self._begin(place, sooner, later, trade)

    def _slipped(self, one: _Numbering, trade: Trade, by: timedelta) -> bool:
        """Whether the trade is one of these though its time is not: its ids are inside and nobody has them."""
        first, last = trade.first_id + one.base, trade.trade_id + one.base
        return by <= SLIP and one.first < trade.first_id <= one.last + 1 and not self._known.meets(first, last)

    def _begin(self, place: int, sooner: _Numbering | None, later: _Numbering | None, trade: Trade) -> _Numbering:
        number = trade.trade_id
        if sooner and later:
            number = (sooner.base + sooner.last + later.base + later.first) // 2
        elif sooner:
            number = sooner.base + sooner.last + _ROOM
        elif later:
            number = later.base + later.first - _ROOM
        made = _Numbering(number - trade.trade_id, trade.first_id, trade.trade_id, trade.timestamp, trade.timestamp)
        self._all.insert(place, made)
        del self._all[:-_KEPT]
        return made
