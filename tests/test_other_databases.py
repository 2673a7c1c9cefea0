"""Databases that are set up in another way than ours."""

import asyncio
import secrets

import asyncpg
import pytest
import sqlalchemy as sa

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


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_parallel_upserts_hold_whatever_isolation_is_the_default(server_url: str, isolation: str) -> None:
    async with a_database(server_url) as url:
        connection = await asyncpg.connect(server_url)
        name = sa.make_url(url).database
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
        await connection.close()
        async with DatabaseOperations(url) as db:
            await asyncio.gather(
                *(db.market_data.upsert_candle(a_candle(trade_count=i), force_update=True) for i in range(1, 40))
            )

            assert await db.market_data.get_latest_candle("BTC-USDT", "1m") is not None
