"""Programs as users of the first, synchronous repositories write them: they run once their calls are awaited."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from collector.okx.collector import AlreadyStarted, OKXCollector
from collector.okx.simulator.server import Simulator
from repos.domain import DataType, InvalidValue, MarketDataPoint, OHLCVCandle
from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.operations import DatabaseOperations, get_database_operations
from tests.conftest import a_folder, empty

pytestmark = pytest.mark.anyio

START = datetime(2024, 1, 1, 12, tzinfo=UTC)
SPAN = {"start_time": START, "end_time": START + timedelta(hours=1)}


def five_seconds(**changes) -> OHLCVCandle:
    fields = {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "timeframe": "5s",
        "open": 50000.0,
        "high": 50100.0,
        "low": 49900.0,
        "close": 50050.0,
        "volume": 1.5,
        "trade_count": 25,
        "start_time": START,
        "end_time": START + timedelta(seconds=5),
    }
    return OHLCVCandle(**fields | changes)


@pytest.fixture
async def db(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DatabaseOperations]:
    """The process's shared object, on empty tables."""
    await empty(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    operations = get_database_operations()
    yield operations
    await operations.close()


async def test_a_candle_written_with_floats_is_read_by_key(db):
    assert await db.health_check()
    assert await db.market_data.upsert_candle(five_seconds(), force_update=False)
    assert not await db.market_data.upsert_candle(five_seconds(close=50060.0), force_update=False)
    assert await db.market_data.upsert_candle(five_seconds(close=50060.0), force_update=True)

    [candle] = await db.market_data.get_candles("BTC-USDT", "5s", **SPAN, exchange="okx")
    latest = await db.market_data.get_latest_candle("BTC-USDT", "5s")

    line = f"{candle['timestamp']}: O={candle['open']} H={candle['high']} L={candle['low']} C={candle['close']}"
    assert line == "2024-01-01 12:00:00+00:00: O=50000 H=50100 L=49900 C=50060"
    assert f"{latest['close']} at {latest['timestamp']}" == "50060 at 2024-01-01 12:00:00+00:00"
    # The old timestamp was the end.
    assert candle["end_time"] == candle.end_time == START + timedelta(seconds=5)
    assert latest == candle
    assert dict(candle)["volume"] == Decimal("1.5")


async def test_a_bot_lives_through_all_that_is_done_with_one(db):
    new = await db.bots.add(
        {
            "name": "MyTestBot",
            "strategy_name": "SimpleMACD",
            "symbol": "BTC-USDT",
            "timeframe": "1h",
            "status": "inactive",
            "virtual_balance": Decimal(10000),
        }
    )
    by_id, by_name = await db.bots.get_by_id(new.id), await db.bots.get_by_name("MyTestBot")
    updated = await db.bots.update(new.id, {"status": "active", "last_heartbeat": datetime.now(UTC)})

    assert by_id["name"] == by_name.name == new["name"] == "MyTestBot"
    assert (updated["status"], str(updated["virtual_balance"])) == (updated.status, "10000")
    assert await db.bots.delete(new.id) is True
    assert await db.bots.delete(new.id) is False


@pytest.mark.parametrize("balance", [10000.0, 10_000, "1e4", Decimal("1E+4")])
async def test_a_balance_is_told_the_same_however_it_was_written(db, balance):
    added = await db.bots.add(
        {"name": "b", "strategy_name": "s", "symbol": "X", "timeframe": "1h", "virtual_balance": balance}
    )

    read = await db.bots.get_by_id(added.id)

    assert str(added.virtual_balance) == str(read.virtual_balance) == "10000"


async def test_raw_data_is_read_by_key(db):
    point = MarketDataPoint(
        exchange="okx",
        symbol="BTC-USDT",
        timestamp=START,
        data_type=DataType.TRADE,
        data={"price": 50000, "size": 0.1, "side": "buy"},
    )
    assert await db.raw_trades.insert_market_data_point(point)
    assert await db.raw_trades.insert_raw_websocket_data(
        exchange="okx",
        symbol="BTC-USDT",
        data_type="raw_trade",
        raw_data={"instId": "BTC-USDT", "px": "50000", "sz": "0.1"},
        timestamp=START,
    )

    [trade] = await db.raw_trades.get_raw_trades(symbol="BTC-USDT", data_type="trade", **SPAN, limit=1000)
    [raw] = await db.raw_trades.get_raw_trades(symbol="BTC-USDT", data_type="raw_trade", **SPAN)

    assert trade["raw_data"] == {"price": 50000, "size": 0.1, "side": "buy"}
    assert (raw["raw_data"]["px"], raw["timestamp"], raw["data_type"]) == ("50000", START, "raw_trade")


async def test_statistics_are_read_by_key(db):
    await db.market_data.upsert_candle(five_seconds())

    stats = await db.get_stats()

    assert f"{stats['bot_count']:,} {stats['candle_count']:,} {stats['raw_trade_count']:,}" == "0 1 0"
    assert stats["healthy"] is True


async def test_a_collector_leaves_the_shared_object_open(db):
    async with Simulator(seed=5, rate=16, connections_per_second=100) as exchange:
        collector = OKXCollector(
            symbols=["BTC-USDT"],
            data_types=[DataType.TRADE],
            store_raw_data=True,
            force_update_candles=False,
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
        )
        await collector.start()
        async with asyncio.timeout(60):
            while (await db.get_stats())["raw_trade_count"] == 0:
                await asyncio.sleep(0.01)
        await collector.stop()

    assert not db.closed
    stats = await db.get_stats()
    assert stats["healthy"]
    assert stats["raw_trade_count"] > 0
    assert get_database_operations() is db


async def test_a_collector_that_runs_can_t_be_started_again(db):
    async with Simulator(seed=5, rate=16, connections_per_second=100) as exchange:
        collector = OKXCollector(symbols=["BTC-USDT"], rest_url=exchange.rest_url, ws_url=exchange.ws_url)
        await collector.start()
        tasks = asyncio.all_tasks()

        with pytest.raises(AlreadyStarted, match=r"stop\(\) it first"):
            await collector.start()

        assert {task for task in asyncio.all_tasks() - tasks if task.get_coro().__qualname__.startswith("OKX")} == set()
        await collector.stop()
        await collector.start()
        await collector.stop()
    assert not {task for task in asyncio.all_tasks() if "OKX" in task.get_coro().__qualname__}


async def test_a_start_that_failed_leaves_nothing_and_can_be_repeated(tmp_path):
    db = DatabaseOperations(f"postgresql://candleql@/candles?host={tmp_path}")
    collector = OKXCollector(symbols=["BTC-USDT"], db=db)
    before = asyncio.all_tasks()

    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await collector.start()
        await asyncio.sleep(0)  # what was cancelled ends

    assert asyncio.all_tasks() <= before
    await collector.stop()
    await db.close()


async def test_statistics_of_a_database_that_is_away_are_those_read_last(db):
    await db.market_data.upsert_candle(five_seconds())
    before = await db.get_stats()
    await db.close()

    stats = await db.get_stats()

    assert (before["healthy"], stats["healthy"]) == (True, False)
    assert stats["candle_count"] == 1
    assert not await db.health_check()


async def test_statistics_of_a_database_that_never_was_there_are_zero(tmp_path):
    db = DatabaseOperations(f"postgresql://candleql@/candles?host={tmp_path}")

    stats = await db.get_stats()

    assert (stats["healthy"], stats["candle_count"], stats["bot_count"], stats["raw_trade_count"]) == (False, 0, 0, 0)
    await db.close()


async def test_a_logger_may_be_the_only_argument_and_come_later(db, caplog):
    caplog.set_level(logging.INFO, "app")

    same = get_database_operations(logging.getLogger("app"))
    await same.market_data.upsert_candle(five_seconds())
    await same.market_data.upsert_candles([five_seconds(timeframe=t, end_time=e) for t, e in _longer()])

    assert same is db
    assert [record.getMessage() for record in caplog.records if record.name == "app"] == [
        "Stored candle: BTC-USDT 5s at 2024-01-01T12:00:00+00:00",
        "Stored candles: 3 of 3 series, the newest BTC-USDT 15m at 2024-01-01T12:00:00+00:00",
    ]


def _longer():
    return [(f"{minutes}m", START + timedelta(minutes=minutes)) for minutes in (1, 5, 15)]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param({"url": 5}, "url: 5 is not a string", id="a number for a URL"),
        pytest.param({"url": print}, "url: <built-in function print> is not a string", id="a function for a URL"),
        pytest.param({"logger": "app"}, "logger: 'app' is no logger", id="a name for a logger"),
        pytest.param({"data_dir": 7}, "data_dir: 7 is not the path of a folder", id="a number for a folder"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(InvalidValue, match=named):
        get_database_operations(**arguments)


async def test_a_failure_is_the_exception_that_it_was(db, tmp_path):
    away = DatabaseOperations(f"postgresql://candleql@/candles?host={tmp_path}")

    with pytest.raises(DatabaseOperationError):
        await away.market_data.upsert_candle(five_seconds())
    await away.close()


_NEVER_CLOSED = """
import asyncio, logging, os
from repos.domain import OHLCVCandle
from repos.operations import get_database_operations
from datetime import UTC, datetime, timedelta

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
os.environ["DEBUG"] = "true"
db = get_database_operations(logging.getLogger("app"))

async def main():
    start = datetime(2024, 1, 1, 12, tzinfo=UTC)
    candle = OHLCVCandle("okx", "X", "5s", 1.5, 2.5, 0.5, 2.0, 3.0, 1, start, start + timedelta(seconds=5))
    await db.market_data.upsert_candle(candle)
    print((await db.get_stats())["candle_count"])

asyncio.run(main())
"""


async def test_a_program_that_never_closes_ends_without_a_word():
    with a_folder() as folder:
        program = _NEVER_CLOSED.replace(
            "get_database_operations(", f"get_database_operations(data_dir={str(folder)!r}, logger="
        )
        ended = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
        )

    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("INFO alembic.")]
    assert "INFO app Stored candle: X 5s at 2024-01-01T12:00:00+00:00" in lines
    # Each statement once, through that logger, on a line of its own.
    assert [line for line in lines if not line.startswith("INFO app ")] == []
    assert len([line for line in lines if "pg_database_size" in line]) == 1


async def test_the_log_of_a_collector_tells_what_it_stores(db, tmp_path):
    pair = {"symbol": "BTC-USDT", "data_types": ["trade"], "timeframes": ["1s"]}
    (tmp_path / "okx_config.json").write_text(json.dumps({"exchange": "okx", "trading_pairs": [pair]}))
    async with Simulator(seed=5, rate=16, connections_per_second=100) as exchange:
        urls = {"OKX_REST_URL": exchange.rest_url, "OKX_WS_URL": exchange.ws_url}
        collect = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "candleql", "collect"),
            cwd=tmp_path,
            env=os.environ | urls,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                line = b""
                while b"Stored candle" not in line:
                    line = await collect.stderr.readline()
                    assert line, "it ended"
        finally:
            collect.terminate()
            await collect.communicate()

    assert b"info" in line
    assert collect.returncode == 0
