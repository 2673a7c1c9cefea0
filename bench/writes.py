"""Writes through the repositories against the same rows by hand, on the first core: python -m bench.writes URL SECONDS.

By hand is the better of unnest and of COPY through a temporary table, a transaction a batch into the same table. They
refuse duplicates as ours do, but do without revisions, locks and news, and do not find out what was new.
"""

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

import asyncpg
import orjson
import uvloop

from bench.cores import pin
from candleql.logs import configure_logs
from repos.domain import Candle, Origin, Side, Timeframe, Trade, TradeRecord
from repos.operations import DatabaseOperations

BATCH = 500
ROUNDS = 5
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_FIVE = Timeframe("5s")
_CANDLE = "exchange, symbol, timeframe, start_time, open, high, low, close, volume, trade_count, origin, revision"
_TYPES = f"text[], text[], text[], timestamptz[], {'numeric[], ' * 5}int[], text[], int8[]"
_SET = ", ".join(
    f"{name} = excluded.{name}" for name in ("open", "high", "low", "close", "volume", "trade_count", "revision")
)
_CONFLICT = f"ON CONFLICT (exchange, symbol, timeframe, start_time) DO UPDATE SET {_SET}"
_TRADE = "exchange, symbol, timestamp, data_type, raw_data, trade_id, first_trade_id"
_TRADE_TYPES = "text[], text[], timestamptz[], text[], jsonb[], int8[], int8[]"

Write = Callable[[str, int], Awaitable[None]]
"""Writes batch n of a symbol."""


def candles(symbol: str, number: int) -> list[Candle]:
    """A batch whose first half is the second half of the batch before, changed."""
    made = []
    for i in range(number * BATCH // 2, number * BATCH // 2 + BATCH):
        price = Decimal(6_000_000 + i % 977 + number) / 100
        start = _BEGIN + i * timedelta(seconds=5)
        prices = (price, price + 2, price - 1, price + 1)
        made.append(
            Candle(
                "okx", symbol, _FIVE, *prices, Decimal(i % 9973) / 1000, i % 90, start, _FIVE.end(start), Origin.TRADES
            )
        )
    return made


def trades(symbol: str, number: int) -> list[TradeRecord]:
    """A batch of new trades."""
    made = []
    for i in range(1 + number * BATCH, 1 + (number + 1) * BATCH):
        price, moment = Decimal(6_000_000 + i % 977) / 100, _BEGIN + i * timedelta(milliseconds=7)
        trade = Trade("okx", symbol, i, moment, price, Decimal(i % 997 + 1) / 1000, Side.BUY)
        raw = {
            "instId": symbol, "tradeId": str(i), "px": str(price), "sz": str(trade.size), "side": "buy",
            "ts": str(int(moment.timestamp() * 1000)),
        }  # fmt: skip
        made.append(TradeRecord(trade, orjson.dumps(raw).decode()))
    return made


def _candle_rows(batch: list[Candle], revision: int) -> list[tuple[Any, ...]]:
    return [
        (c.exchange, c.symbol, str(c.timeframe), c.start_time, c.open, c.high, c.low, c.close, c.volume, c.trade_count,
         "trades", revision)
        for c in batch
    ]  # fmt: skip


def _trade_rows(batch: list[TradeRecord]) -> list[tuple[Any, ...]]:
    return [
        (t.exchange, t.symbol, t.timestamp, "trade", raw, t.trade_id, t.first_id) for t, raw in batch
    ]  # fmt: skip


class ByHand:
    """The statements that one would write."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def unnest(self, table: str, columns: str, types: str, conflict: str, rows: list[tuple[Any, ...]]) -> None:
        arrays = ", ".join(f"${i}::{kind.strip()}" for i, kind in enumerate(types.split(","), 1))
        statement = f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) {conflict}"
        await self._connection.execute(statement, *zip(*rows, strict=True))

    async def copy(self, table: str, columns: str, conflict: str, rows: list[tuple[Any, ...]]) -> None:
        async with self._connection.transaction():
            new = f"new_{table}"
            await self._connection.copy_records_to_table(new, records=rows, columns=columns.split(", "))
            statement = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {new} {conflict}"
            await self._connection.execute(statement)


async def _main(url: str, seconds: str) -> None:
    connection = await asyncpg.connect(url)
    for table, columns in (("market_data", _CANDLE), ("raw_trades", _TRADE)):
        copied = f"SELECT {columns} FROM {table} LIMIT 0"
        await connection.execute(f"CREATE TEMP TABLE new_{table} ON COMMIT DELETE ROWS AS {copied}")
    hand = ByHand(connection)
    async with DatabaseOperations(url) as db:
        # Rows at the very end of an index cost less: none of the measured are there.
        await db.tape.insert(trades("Z", 0))
        nothing = "ON CONFLICT DO NOTHING"
        ways: dict[str, dict[str, tuple[Callable[[str, int], Any], Callable[[Any, int], Awaitable[object]]]]] = {
            "candle upserts": {
                "ours": (candles, lambda batch, _: db.market_data.upsert_candles(batch, True)),
                "unnest": (
                    candles,
                    lambda batch, n: hand.unnest("market_data", _CANDLE, _TYPES, _CONFLICT, _candle_rows(batch, n)),
                ),
                "copy": (
                    candles,
                    lambda batch, n: hand.copy("market_data", _CANDLE, _CONFLICT, _candle_rows(batch, n)),
                ),
            },
            "raw trades": {
                "ours": (trades, lambda batch, _: db.tape.insert(batch)),
                "unnest": (
                    trades,
                    lambda batch, _: hand.unnest("raw_trades", _TRADE, _TRADE_TYPES, nothing, _trade_rows(batch)),
                ),
                "copy": (trades, lambda batch, _: hand.copy("raw_trades", _TRADE, nothing, _trade_rows(batch))),
            },
        }
        for name, kinds in ways.items():
            rates: dict[str, list[float]] = {kind: [] for kind in kinds}
            done = dict.fromkeys(kinds, 0)
            for _ in range(ROUNDS):
                for kind, (make, write) in kinds.items():
                    spent = 0.0
                    batches = 0
                    while spent < float(seconds) / ROUNDS:
                        batch = make(f"BENCH-{kind}", done[kind])
                        begun = time.perf_counter()
                        await write(batch, done[kind])
                        spent += time.perf_counter() - begun
                        done[kind] += 1
                        batches += 1
                    rates[kind].append(batches * BATCH / spent)
            result = {"name": name} | {kind: median(measured) for kind, measured in rates.items()}
            print(orjson.dumps(result).decode(), flush=True)
    await connection.close()


if __name__ == "__main__":
    pin(0)
    configure_logs("error", "console")
    uvloop.run(_main(*sys.argv[1:]))
