"""How everything on one database is doing: looked at from beside, without starting, migrating or changing anything."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from candleql.database import place
from candleql.settings import Settings
from repos.address import describe, driver_url
from repos.clients import Client
from repos.domain import Market, Series
from repos.driver_errors import DRIVER_ERRORS
from repos.errors import DatabaseOperationError
from repos.events import CollectorReport
from repos.feed.hub import Feed
from repos.feed.news import GapNews
from repos.migrations.upgrade import KNOWN, revision_of
from repos.operations import DatabaseOperations

WITHIN = 20.0
"""Seconds for all of it."""
_REPORTED = 6.0
"""Seconds in which a collector that runs has reported; asked, it does within one."""
_LATE_MS = 10_000.0
"""A channel whose messages are later than that is in trouble, and so are candles so far behind their trades."""


@dataclass(slots=True)
class Status:
    """What could be seen; the rest is empty, and `problems` say why."""

    database: str
    place: dict[str, str]
    reached: bool = False
    latency_ms: float | None = None
    clients: list[Client] = field(default_factory=list)
    reports: list[CollectorReport] = field(default_factory=list)
    gaps: list[GapNews] = field(default_factory=list)
    markets: list[Market] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        return not self.problems


async def look(settings: Settings, data_dir: Path | None) -> Status:
    """The status of the database that the user means, in WITHIN seconds at most.

    Raises:
        DatabaseUnavailable: A data folder is there, but can't be read.
        InvalidValue: The database's URL is none.
    """
    found = place(settings, data_dir)
    if isinstance(found, str):
        url: str | None = driver_url(found)
        listen_url, named = settings.database_listen_url or None, describe(driver_url(found))
    else:
        url, listen_url, named = await found.running(), None, f"the embedded database in {found.data_dir}"
    place_ = DatabaseOperations(found).place
    status = Status(named, place_)
    if url is None:
        status.problems.append(f"{named} does not run: candleql serve or collect starts it")
        return status
    db = DatabaseOperations(url, listen_url=listen_url, work="status", migrating=False)
    try:
        async with asyncio.timeout(WITHIN):
            await _fill(status, db, url)
    except TimeoutError:
        status.problems.append(f"{named} did not tell all within {WITHIN:g} s")
    except (DatabaseOperationError, *DRIVER_ERRORS) as error:
        status.problems.append(f"{named}: {' '.join(str(error).split()) or type(error).__name__}")
    finally:
        await db.close()
    return status


async def _fill(status: Status, db: DatabaseOperations, url: str) -> None:
    begun = time.perf_counter()
    revision = await revision_of(url)
    status.reached, status.latency_ms = True, (time.perf_counter() - begun) * 1000
    if revision != KNOWN[-1]:
        status.problems.append(f"{status.database} has the tables of {revision or 'no revision'}, not of {KNOWN[-1]}: "
                               "candleql migrate, or a newer candleql, is wanted")  # fmt: skip
        return
    status.clients = [client for client in await db.clients.all() if client.work != "status"]
    status.gaps = await db.gaps.open()
    collecting = sum(map(_collects, status.clients))
    async with Feed(db, hot_candles=0) as feed:
        if collecting:
            await feed.collectors.known(lambda: len(feed.collectors.reports()) >= collecting, _REPORTED)
        status.reports = list(feed.collectors.reports().values())
    # Trades first: candles that are read after them can only be newer.
    traded = await _last_trades(status.reports, db)
    status.markets = await db.market_data.markets()
    status.problems += [*_problems(status, collecting), *_lagging(status, traded)]


async def _last_trades(reports: list[CollectorReport], db: DatabaseOperations) -> dict[Series, datetime]:
    """The newest stored trade's time, for each series that the collectors fold trades into."""
    traded: dict[Series, datetime] = {}
    for followed in (followed for report in reports for followed in report.followed if followed.timeframes):
        last = await db.tape.last(followed.exchange, followed.symbol)
        if last is not None:
            series = (Series(followed.exchange, followed.symbol, timeframe) for timeframe in followed.timeframes)
            traded |= dict.fromkeys(series, last.timestamp)
    return traded


def _lagging(status: Status, traded: dict[Series, datetime]) -> Iterator[str]:
    """Collected series without the candle before that of their newest trade: it is stored when the next one begins."""
    newest = {market.series: market.last_time for market in status.markets}
    # The candle in whose middle a collector begins may have to wait for trades from before.
    begun = max((client.since for client in status.clients if _collects(client) and client.since), default=None)
    for series, at in traded.items():
        candle, timeframe = newest.get(series), series.timeframe
        known = [moment for moment in (candle, begun and timeframe.floor(begun)) if moment]
        if known and (at - timeframe.end(timeframe.end(max(known)))).total_seconds() * 1000 > _LATE_MS:
            since = f"since {candle.isoformat()}" if candle else "at all"
            yield f"{series} has no candle {since}, but trades until {at.isoformat()}"


def _collects(client: Client) -> bool:
    return client.work in ("collect", "serve")


def _problems(status: Status, collecting: int) -> Iterator[str]:
    if not any(client.work.startswith(("collect", "serve")) for client in status.clients):
        yield f"neither candleql serve nor collect works on {status.database}"
    if len(status.reports) < collecting:
        yield f"processes that collect: {collecting}, but collectors that were heard of: {len(status.reports)}"
    for report in status.reports:
        if report.waiting:
            yield f"a batch waits to be stored since {report.waiting.since.isoformat()} {report.waiting.reason}".strip()
        for feed in report.feeds:
            name = f"{feed.exchange} {feed.symbol} {feed.channel}"
            if not feed.connected:
                yield f"{name} is not connected" + (f": {feed.refusal.message}" if feed.refusal else "")
            elif feed.lag_ms is not None and feed.lag_ms > _LATE_MS:
                yield f"{name} is {feed.lag_ms / 1000:.1f} s late"
    if status.gaps:
        yield f"gaps in trades that are open: {len(status.gaps)}"
