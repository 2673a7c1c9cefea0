"""What collectors say of themselves, those of this process and of all others: how they are doing, what they follow."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from repos.domain import DataType, Series
from repos.events import CollectorReport, FeedHealth, Waiting
from repos.feed.news import CollectorNews, Tape

REPORTED = 15.0
"""Seconds. A collector of another process that missed three reports is forgotten."""


@dataclass(slots=True)
class _Heard:
    at: float
    report: CollectorReport
    series: frozenset[Series] = field(init=False)
    tapes: frozenset[Tape] = field(init=False)

    def __post_init__(self) -> None:
        followed = self.report.followed
        self.series = frozenset(Series(f.exchange, f.symbol, each) for f in followed for each in f.timeframes)
        self.tapes = frozenset(Tape(f.exchange, f.symbol) for f in followed if DataType.TRADE in f.data_types)


class Collectors:
    """The last report of each. Several may follow the same."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds of any one clock that does not go back."""
        self._clock = clock
        self._heard: dict[str, _Heard] = {}
        self._own: dict[str, CollectorReport] = {}
        self._changed = asyncio.Event()
        self.asked_at: float | None = None
        """When this process asked the others for the first time."""

    def keep(self, source: str, report: CollectorReport | None) -> None:
        """A collector of this process reports; None when it stops."""
        if report is None:
            self._own.pop(source, None)
        else:
            self._own[source] = report
        self._take(source, report)

    def hear(self, news: CollectorNews) -> bool:
        """One of any process did. False if it is of this one: what it said before may be on its way still."""
        if news.source in self._own:
            return False
        self._take(news.source, news.report)
        return True

    def asked(self) -> None:
        """Others were asked to report."""
        if self.asked_at is None:
            self.asked_at = self._clock()

    def own(self) -> list[CollectorNews]:
        """What the collectors of this process said last."""
        return [CollectorNews(source, report) for source, report in self._own.items()]

    def reports(self) -> dict[str, CollectorReport]:
        """By collector, those that are not silent."""
        return {source: heard.report for source, heard in self._alive().items()}

    def feeds(self) -> list[FeedHealth]:
        """All their channels."""
        return [feed for heard in self._alive().values() for feed in heard.report.feeds]

    def waiting(self) -> Waiting | None:
        """The batch that has waited longest to be stored, if any does."""
        waiting = [heard.report.waiting for heard in self._alive().values() if heard.report.waiting]
        return min(waiting, key=lambda each: each.since, default=None)

    def series(self) -> set[Series]:
        """All candles that anybody collects."""
        return {series for heard in self._alive().values() for series in heard.series}

    def follow(self, key: Series | Tape) -> bool:
        """Whether anybody collects these candles, or these trades."""
        return any(
            key in (heard.series if isinstance(key, Series) else heard.tapes) for heard in self._alive().values()
        )

    def symbols(self) -> set[tuple[str, str]]:
        """Exchange and symbol of all that anybody collects, whatever of it."""
        return {(f.exchange, f.symbol) for heard in self._alive().values() for f in heard.report.followed}

    async def known(self, wanted: Callable[[], bool], patience: float) -> bool:
        """`wanted()`, as soon as it is so, or when those that were asked have had `patience` seconds to answer."""
        now = self._clock()
        until = patience + (now if self.asked_at is None else self.asked_at)
        while not wanted():
            if (left := until - self._clock()) <= 0:
                return False
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
        return True

    def _take(self, source: str, report: CollectorReport | None) -> None:
        self._heard = self._alive()
        before = self._heard.get(source)
        if report is None:
            self._heard.pop(source, None)
        elif before is not None and before.report.followed == report.followed:  # nearly always
            before.at, before.report = self._clock(), report
        else:
            self._heard[source] = _Heard(self._clock(), report)
        self._changed.set()

    def _alive(self) -> dict[str, _Heard]:
        now = self._clock()
        return {
            source: heard for source, heard in self._heard.items() if source in self._own or now - heard.at <= REPORTED
        }
