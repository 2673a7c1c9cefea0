"""A server that collects nothing, so that what it shows is known to the digit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from repos.domain import Candle, Gap, Origin
from repos.operations import DatabaseOperations
from tests.browser.demo import Demo, a_demo
from tests.builders import a_candle

MINUTE = timedelta(minutes=1)
COUNT = 15_000
NEWEST = datetime(2026, 7, 2, 3, 4, tzinfo=UTC)
"""The start of the newest minute of BTC-USDT that is stored; COUNT minutes are, without a hole."""


def a_minute(before: int, origin: Origin = Origin.EXCHANGE) -> Candle:
    """So many minutes before the newest: its volume is that number and a half."""
    price = 100 + before % 7
    return a_candle(
        start_time=NEWEST - before * MINUTE, open=price, close=price + 1, volume=f"{before}.5", origin=origin
    )  # fmt: skip


@asynccontextmanager
async def a_known_server() -> AsyncIterator[tuple[Demo, DatabaseOperations]]:
    """It, and its repositories."""
    async with a_demo("--no-collect") as server, server.database() as db:
        await db.market_data.upsert_candles([a_minute(before) for before in range(COUNT)])
        yield server, db


def a_gap(first: int, last: int) -> Gap:
    """Trades are missing in the minutes from `first` to `last`, counted before the newest."""
    after, before = NEWEST - first * MINUTE, NEWEST - last * MINUTE + timedelta(seconds=59)
    return Gap("okx", "BTC-USDT", 1_000 - first, 1_000 - last, after, before)
