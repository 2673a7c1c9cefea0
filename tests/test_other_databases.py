"""Databases that are set up in another way than ours."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
import sqlalchemy as sa

from collector.okx.collector import OKXCollector
from collector.okx.simulator.server import Simulator
from repos.errors import DatabaseOperationError
from repos.operations import DatabaseOperations
from tests.builders import a_candle
from tests.conftest import a_database

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_is_not_in_utf8_is_refused_in_one_line(server_url: str, encoding: str) -> None:
    name = f"candleql_{secrets.token_hex(4)}_test"
    connection = await asyncpg.connect(server_url)
    locale = "LOCALE_PROVIDER libc LOCALE 'C'"
    await connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' {locale} TEMPLATE template0")
    try:
        url = sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
        db = DatabaseOperations(url)

        with pytest.raises(DatabaseOperationError, match=f"encoding is {encoding}.*'UTF8'"):
            await db.open()

        await db.close()
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


isolations = pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])


@asynccontextmanager
async def isolated(server_url: str, isolation: str) -> AsyncIterator[str]:
    """The URL of a new database where transactions are so isolated unless they say otherwise."""
    async with a_database(server_url) as url:
        connection = await asyncpg.connect(server_url)
        name = sa.make_url(url).database
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
        await connection.close()
        yield url


@isolations
async def test_processes_that_start_together_migrate_whatever_isolation_is_the_default(
    server_url: str, isolation: str
) -> None:
    async with isolated(server_url, isolation) as url:
        first, second, third = DatabaseOperations(url), DatabaseOperations(url), DatabaseOperations(url)

        await asyncio.gather(first.open(), second.open(), third.open())

        assert await second.market_data.markets() == []
        for db in (first, second, third):
            await db.close()


@isolations
async def test_a_collector_stores_whatever_isolation_is_the_default(server_url: str, isolation: str) -> None:
    async with isolated(server_url, isolation) as url, DatabaseOperations(url) as db:
        async with (
            Simulator(seed=5, rate=16, connections_per_second=100) as exchange,
            OKXCollector(
                ["BTC-USDT"], timeframes={"BTC-USDT": ["1s"]}, db=db, rest_url=exchange.rest_url, ws_url=exchange.ws_url
            ),
        ):
            async with asyncio.timeout(60):
                while await db.market_data.get_latest_candle("BTC-USDT", "1s") is None:
                    await asyncio.sleep(0.05)

        assert (await db.get_stats()).raw_trade_count > 0


@isolations
async def test_parallel_upserts_hold_whatever_isolation_is_the_default(server_url: str, isolation: str) -> None:
    async with isolated(server_url, isolation) as url, DatabaseOperations(url) as db:
        await asyncio.gather(
            *(db.market_data.upsert_candle(a_candle(trade_count=i), force_update=True) for i in range(1, 40))
        )

        assert await db.market_data.get_latest_candle("BTC-USDT", "1m") is not None
