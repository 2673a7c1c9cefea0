"""The database under all servers: an embedded PostgreSQL in a folder of its own, with the same candles and bots."""

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from repos.embedded.server import EmbeddedPostgres
from repos.migrations.upgrade import migrate

SYMBOLS = [f"{coin}-USDT" for coin in (
    "BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "TRX", "AVAX", "LINK", "DOT",
    "LTC", "BCH", "NEAR", "UNI", "APT", "ICP", "ETC", "FIL", "ATOM", "ARB",
)]  # fmt: skip
BOTS = 100
_BEGIN = "timestamptz '2024-01-01T00:00Z'"
_CANDLES = f"""
INSERT INTO market_data
    (exchange, symbol, timeframe, start_time, open, high, low, close, volume, trade_count, origin, revision)
SELECT 'okx', symbol, '1m', {_BEGIN} + i * interval '1 minute',
    p, p + 7.3, p - 5.1, p + 1.7, round((1 + abs(sin(i / 7.0)) * 40)::numeric, 8), i % 900, 'trades', 1
FROM unnest($1::text[]) WITH ORDINALITY AS symbols (symbol, place),
    generate_series(0, $2::int - 1) AS i,
    LATERAL (SELECT round((1000 * place + 100 * sin(i / 500.0) + i % 13)::numeric, 1) AS p) AS price
"""
_SERIES = f"""
INSERT INTO series (exchange, symbol, timeframe, revision, first_time, last_time, candle_count)
SELECT 'okx', symbol, '1m', 1, {_BEGIN}, {_BEGIN} + ($2::int - 1) * interval '1 minute', $2::int
FROM unnest($1::text[]) AS symbol
"""
_BOTS = """
INSERT INTO bots (name, strategy_name, symbol, timeframe, status, virtual_balance)
SELECT 'bot ' || i, 'crossing', ($1::text[])[1 + i % cardinality($1)], '1m', 'active', 10000.5 + i
FROM generate_series(1, $2::int) AS i
"""


@asynccontextmanager
async def a_database(candles: int) -> AsyncIterator[str]:
    """The URL of a running database with `candles` in all, minutes of SYMBOLS, and BOTS bots; removed at the end."""
    folder = Path(tempfile.gettempdir()) / f"candleql-bench-{secrets.token_hex(4)}"
    server = EmbeddedPostgres(folder, ("-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"))
    try:
        url = await server.start()
        await migrate(url)
        connection = await asyncpg.connect(url)
        each = candles // len(SYMBOLS)
        await connection.execute(_CANDLES, SYMBOLS, each)
        await connection.execute(_SERIES, SYMBOLS, each)
        await connection.execute(_BOTS, SYMBOLS, BOTS)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
        yield url
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)
