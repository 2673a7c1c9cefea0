"""Recordings played again, through the parser and the pipeline that live data takes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from collector.captures import ENDS, Broken, Frame, read
from collector.okx.protocol import Event, Ignored, Malformed, Points, Trades, parse_frame
from collector.pipeline import ANNOUNCE_EVERY, Pipeline
from repos.domain import MarketDataPoint, Timeframe, TradeRecord
from repos.errors import DataRefused
from repos.operations import DatabaseOperations
from repos.refused import store_rest

_BATCH = 1_000
"""Lines, or trades, that go into the database together at full speed."""
_LISTED = 1_000
_LOGGED = 10_000

log = structlog.get_logger(__name__)


class Unreadable(NamedTuple):
    """A line that could not be read, or a frame on it."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


@dataclass(slots=True)
class ReplayReport:
    """What a replay found and did. `others` counts frames without trades, and lines that are no frame, by kind.

    `malformed_count` counts lines and frames that can't be read, `refused` trades that could be and yet are not stored:
    those of the future, and what the database does not take.
    """

    lines: int = 0
    frames: int = 0
    trades_seen: int = 0
    trades_stored: int = 0
    points_stored: int = 0
    candles_written: int = 0
    malformed_count: int = 0
    refused: int = 0
    malformed: list[Unreadable] = field(default_factory=list)
    """The first thousand; the log has them all, with their text."""
    others: Counter[str] = field(default_factory=Counter)
    cut_off: list[Unreadable] = field(default_factory=list)
    """Where the data of a compressed file end too early; what came before is stored."""
    spans: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """By symbol, when its first and its last trade happened. The candles that hold these lack what was not recorded."""


async def replay(
    paths: Sequence[Path],
    db: DatabaseOperations,
    *,
    timeframes: Callable[[str], Sequence[Timeframe]],
    speed: float | None = None,
    store_raw_data: bool = False,
    force_update: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> ReplayReport:
    """Store all trades of the recordings, in the order given, and every candle they touch, of a symbol's `timeframes`.

    A second replay changes nothing, and one after an interrupted replay completes it. Without `speed` it goes as fast
    as it can; with it, so many times as fast as the recorder's clock, where a recording has that, and it announces
    forming candles. `store_raw_data` stores the objects of other channels too. `on_progress` hears of bytes read, and
    of all bytes.

    Raises:
        OSError: A file can't be opened or read.
        DatabaseOperationError: The database failed.
    """
    pipeline = Pipeline(db, timeframes, force_update=force_update, announce=speed is not None, clock=clock)
    playing = _Replay(db, pipeline, speed, store_raw_data, sleep, clock)
    total = sum(path.stat().st_size for path in paths)
    done = 0
    for path in paths:
        pipeline.rewind()
        async with aclosing(playing.play(path)) as positions:
            async for position in positions:
                if on_progress is not None:
                    on_progress(done + position, total)
        done += path.stat().st_size
    await pipeline.finish()
    playing.report.candles_written = pipeline.candles_written
    playing.report.refused += pipeline.malformed
    return playing.report


class _Replay:
    def __init__(
        self,
        db: DatabaseOperations,
        pipeline: Pipeline,
        speed: float | None,
        store_raw_data: bool,
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
    ) -> None:
        self.report = ReplayReport()
        self._db = db
        self._pipeline = pipeline
        self._speed = speed
        self._store_raw_data = store_raw_data
        self._sleep = sleep
        self._clock = clock
        self._records: list[TradeRecord] = []
        self._points: list[MarketDataPoint] = []

    async def play(self, path: Path) -> AsyncGenerator[int, None]:
        """All of one recording; now and then the bytes that are done, and in the end all of them."""
        begun: tuple[datetime, float] | None = None
        waiting = position = 0
        report, lines = self.report, self.report.lines
        for item, done, position in read(path):
            report.lines = lines + done
            if isinstance(item, Frame):
                if self._speed is not None and item.received_at is not None:
                    begun = begun or (item.received_at, self._clock())
                    await self._wait(begun, item.received_at, self._speed)
                report.frames += 1
                for event in parse_frame(item.text):
                    self._take(path, item.line, event)
            elif isinstance(item, Broken):
                what = Unreadable(path, item.line, item.reason)
                self._malformed(what, item.text)
                if item.reason.startswith(ENDS):
                    report.cut_off.append(what)
            else:
                report.others[item.kind] += 1
            waiting += 1
            if max(waiting, len(self._records)) >= _BATCH:
                await self._flush()
                waiting = 0
                yield position
        await self._flush()
        yield position

    def _take(self, path: Path, line: int, event: Event) -> None:
        match event:
            case Trades(_, records):
                self.report.trades_seen += len(records)
                self._records += records
                for trade, _ in records:
                    first, last = self.report.spans.get(trade.symbol, (trade.timestamp, trade.timestamp))
                    self.report.spans[trade.symbol] = min(first, trade.timestamp), max(last, trade.timestamp)
            case Malformed(reason, text):
                self._malformed(Unreadable(path, line, reason), text)
            case Points(arg, points):
                self.report.others[arg.channel] += 1
                if self._store_raw_data:
                    self._points += points
            case Ignored(name):
                self.report.others[name] += 1
            case _:
                self.report.others[type(event).__name__.lower()] += 1

    def _malformed(self, what: Unreadable, text: str) -> None:
        log.warning("Malformed line", where=f"{what.path}:{what.line}", reason=what.reason, text=text[:_LOGGED])
        self.report.malformed_count += 1
        if len(self.report.malformed) < _LISTED:
            self.report.malformed.append(what)

    async def _flush(self) -> None:
        if self._records:
            self.report.trades_stored += len(await self._pipeline.add(self._records))
            self._records = []
        if self._points:
            await store_rest(self._points, self._store_points, self._refused)
            self._points = []
        await asyncio.sleep(0)

    async def _store_points(self, points: Sequence[MarketDataPoint]) -> None:
        self.report.points_stored += await self._db.raw_trades.insert_points(points)

    def _refused(self, point: MarketDataPoint, error: DataRefused) -> None:
        log.warning("Malformed object, the database refuses it", reason=str(error), text=repr(point.data)[:_LOGGED])
        self.report.refused += 1

    async def _wait(self, begun: tuple[datetime, float], moment: datetime, speed: float) -> None:
        start, at = begun

        def now(_: str) -> datetime:
            return start + timedelta(seconds=(self._clock() - at) * speed)

        due = at + (moment - start).total_seconds() / speed
        while (left := due - self._clock()) > 0:
            await self._flush()
            await self._pipeline.tick(now)
            await self._sleep(min(left, ANNOUNCE_EVERY))
