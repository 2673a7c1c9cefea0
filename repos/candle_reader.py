"""Candles for who prints them: as PostgreSQL sends them, many pages in one statement."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import FilteringBoundLogger

from repos import keyset
from repos.arguments import check_of
from repos.arrays import filled
from repos.base import BaseRepository
from repos.candle_queries import (
    NUMBERS,
    columns_statement,
    newest_statement,
    page_statement,
    pages_statement,
    states_statement,
    window_statement,
)
from repos.domain import EPOCH, Candle, Page, Series, Timeframe, aware, check_range
from repos.epoch import EpochRepository
from repos.events import Position
from repos.revisions import KEY
from repos.stored import StoredCandle, StoredCandles, micros, moment_of
from repos.wire import WireConnections


@dataclass(frozen=True, slots=True)
class CandlePage(Page[Candle]):
    """`position` is where a reader of this page stands: it has seen everything written before the page was read."""

    position: Position


_SERIES = check_of("series", Series)


@dataclass(frozen=True, slots=True)
class AskedPage:
    """A page of `series`: the candles that start in [start, end), cut as `cut` says, whose keys are start times."""

    series: Series
    start: datetime | None
    end: datetime | None
    cut: keyset.Cut
    times: Mapping[str, datetime]
    """Those of start, end, after and before that are given."""

    @classmethod
    def of(
        cls,
        series: Series,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        first: int | None = None,
        after: datetime | None = None,
        last: int | None = None,
        before: datetime | None = None,
    ) -> Self:
        """after and before are start times too; the newest 500 unless asked.

        Raises:
            InvalidValue: An argument is of another type, start is after end, or first or last is wrong
                (repos.keyset.cut).
        """
        _SERIES.refuse(series)
        behind, ahead = (None if moment is None else (moment,) for moment in (after, before))
        times = {"start": start, "end": end, "after": after, "before": before}
        given = {name: aware(name, moment) for name, moment in times.items() if moment is not None}
        check_range(start, end)
        return cls(series, start, end, keyset.cut(first, last, behind, ahead), given)


class Floats(list[float]):
    """Finite floats and nothing else."""


@dataclass(frozen=True, slots=True)
class CandleColumns:
    """Columns of equal length, oldest first; `time` is the start in ms since 1970. Floats, lossy on purpose."""

    series: Series
    time: list[float]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    trade_count: list[int | None]
    truncated: bool
    position: Position


_numbers = msgspec.json.Decoder(list[float]).decode
_TO_1970 = (datetime(2000, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


class CandleReader(BaseRepository):
    """Each call is one statement for each kind of page, hence one snapshot; rows stay raw until somebody looks."""

    def __init__(
        self,
        engine: AsyncEngine,
        logger: FilteringBoundLogger,
        wire: WireConnections,
        epoch: EpochRepository,
    ) -> None:
        super().__init__(engine, logger)
        self._wire = wire
        self._epoch = epoch

    async def pages(self, asked: Sequence[AskedPage]) -> list[CandlePage]:
        """The pages, in their order; their rows are StoredCandles.

        Raises:
            DatabaseOperationError: The database failed.
        """
        kinds: dict[tuple[frozenset[str], bool], list[int]] = {}
        for index, page in enumerate(asked):
            kinds.setdefault((frozenset(page.times), page.cut.backward), []).append(index)
        found: list[Any] = [None] * len(asked)

        async def read(kind: tuple[frozenset[str], bool], places: list[int]) -> None:
            pages = [asked[place] for place in places]
            for place, page in zip(places, await self._read(kind, pages), strict=True):
                found[place] = page

        if len(kinds) == 1:
            await read(*next(iter(kinds.items())))
        else:
            await asyncio.gather(*(read(*kind) for kind in kinds.items()))
        return found

    async def _read(self, kind: tuple[frozenset[str], bool], pages: list[AskedPage]) -> list[CandlePage]:
        attempt = f"reading {len(pages)} pages, the first of {pages[0].series}"
        epoch = self._epoch.current or await self._epoch.known()
        if len(pages) == 1:
            [page] = pages
            values = {name: micros(moment) for name, moment in page.times.items()}
            given_one = page.series._asdict() | values | {"limit": page.cut.limit}
            [row] = await self._fetch(attempt, page_statement(*kind), given_one)
            return [_page(page, row, epoch)]
        names = ["place", *KEY, "limit", *sorted(kind[0])]
        given = []
        for place, page in enumerate(pages):
            times = page.times
            given.append((place, *page.series, page.cut.limit, *(micros(times[name]) for name in sorted(kind[0]))))
        rows = await self._fetch(attempt, pages_statement(*kind), filled(names, given))
        return [_page(page, row, epoch) for page, row in zip(pages, rows, strict=True)]

    async def window(self, series: Series, most: int) -> tuple[Position, int, bool, list[tuple[int, Sequence[Any]]]]:
        """The newest `most` candles, the oldest first: each one's revision and raw row.

        Before them, where a reader of them stands, the last revision of older ones and of deletions (0: there are
        none), and whether no candle is older.

        Raises:
            DatabaseOperationError: The database failed.
        """
        asked = series._asdict() | {"limit": most}
        epoch = await self._epoch.known()
        rows = await self._fetch(f"reading the newest candles of {series}", window_statement(), asked)
        revision, newest, older, deleted = rows[0][:4]
        kept: list[tuple[int, Sequence[Any]]] = [(row[4], tuple(row[5:])) for row in rows if row[5] is not None]
        return _position(series, revision, newest, epoch), max(older or 0, deleted or 0), older is None, kept

    async def newest(self, series: Sequence[Series]) -> dict[Series, StoredCandle]:
        """The newest candle of each series that has one.

        Raises:
            DatabaseOperationError: The database failed.
        """
        if len(series) != 1:
            return {key: found for key, (found, _) in (await self.states(series)).items() if found is not None}
        [key] = series
        rows = await self._fetch(f"reading the newest candle of {key}", newest_statement(), key._asdict())
        return {key: StoredCandle(key, rows[0])} if rows else {}

    async def states(self, series: Sequence[Series]) -> dict[Series, tuple[StoredCandle | None, Position]]:
        """The newest candle of each series, if any, and where its reader stands.

        Raises:
            DatabaseOperationError: The database failed.
        """
        if not series:
            return {}
        attempt = f"reading the newest candles of {len(series)} series"
        epoch = await self._epoch.known()
        states: dict[Series, tuple[StoredCandle | None, Position]] = {}
        for row in await self._fetch(attempt, states_statement(), filled(KEY, series)):
            key = Series(row[0], row[1], Timeframe(row[2]))
            found = None if row[5] is None else StoredCandle(key, row)
            states[key] = found, _position(key, row[3], row[4], epoch)
        return states

    async def columns(
        self,
        series: Series,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        last: int = keyset.DEFAULT,
    ) -> CandleColumns:
        """The newest `last` (0 to 10,000) candles of [start, end) as columns of floats.

        Raises:
            InvalidValue: start is after end, or last is out of bounds.
            DatabaseOperationError: The database failed.
        """
        times = AskedPage.of(series, start=start, end=end, last=last).times
        values = {name: micros(moment) for name, moment in times.items()}
        # One more than asked for is read, the oldest: it tells whether there is more.
        asked = series._asdict() | values | {"limit": last + 1}
        epoch = await self._epoch.known()
        [row] = await self._fetch(f"reading columns of {series}", columns_statement(frozenset(times)), asked)
        revision, newest, starts, text, counts = row
        truncated = starts is not None and len(starts) > last
        numbers = _numbers(f"[{text or ''}]")
        width = len(NUMBERS)
        lists: list[Any] = [Floats(numbers[place::width][:last][::-1]) for place in range(width)]
        time = Floats([start / 1000 + _TO_1970 for start in (starts or ())[:last][::-1]])
        open_, high, low, close, volume = lists
        trade_count = (counts or [])[:last][::-1]
        position = _position(series, revision, newest, epoch)
        return CandleColumns(series, time, open_, high, low, close, volume, trade_count, truncated, position)

    async def _fetch(self, attempt: str, statement: Any, parameters: dict[str, Any]) -> list[Any]:
        with self._failing(attempt):
            return await self._wire.fetch(statement, parameters)


def _page(asked: AskedPage, row: Sequence[Any], epoch: str) -> CandlePage:
    below, above, revision, newest, starts, text = row
    rows = [] if starts is None else list(zip(starts, text.split("\n"), strict=True))
    found, has_next, has_previous = keyset.turned_page(rows, asked.cut, below, above)
    position = _position(asked.series, revision, newest, epoch)
    return CandlePage(StoredCandles(asked.series, found), has_next, has_previous, position)


def _position(series: Series, revision: int | None, newest: int | None, epoch: str) -> Position:
    return Position(series, revision or 0, None, None if newest is None else moment_of(newest), epoch)
