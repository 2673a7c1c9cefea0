"""The collector against a simulated exchange: what is stored at the end is what truly happened there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from collector import pipeline
from collector.okx import channels as channels_module
from collector.okx import collector as collector_module
from collector.okx import connection, session, watchdog
from collector.okx.collector import OKXCollector
from collector.okx.metrics import CollectorMetrics
from collector.okx.simulator.faults import Answer
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.rows import single
from collector.okx.simulator.server import Simulator
from repos.decode import decode_trade
from repos.domain import EPOCH, Candle, DataType, InvalidValue, Origin, Series, Timeframe, Trade
from repos.errors import DatabaseUnavailable
from repos.events import CandleEventKind, FeedHealth
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.streams import connection_of
from tests.trades import plain

pytestmark = pytest.mark.anyio

BTC = "BTC-USDT"
BTC_1S = Series("okx", BTC, Timeframe("1s"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may be late: here only a later trade ends a candle."""
    monkeypatch.setattr(pipeline, "LATENESS", timedelta(minutes=1))


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    """A lively one: some 40 trades a second."""
    async with Simulator(seed=5, rate=16, connections_per_second=100) as simulator:
        yield simulator


def a_collector(exchange: Simulator, db: DatabaseOperations, feed: Feed | None = None, **changes) -> OKXCollector:
    options = {
        "symbols": [BTC],
        "timeframes": {BTC: ["1s"]},
        "db": db,
        "feed": feed,
        "rest_url": exchange.rest_url,
        "ws_url": exchange.ws_url,
    }
    return OKXCollector(**options | changes)


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def happened(exchange: Simulator, start: datetime, end: datetime, symbol: str = BTC) -> list[Trade]:
    matches = exchange.ledger(symbol, milliseconds(start), milliseconds(end))
    return [decode_trade("okx", symbol, single(INSTRUMENTS[symbol], match)) for match in matches]


async def closed(feed: Feed, count: int) -> list[Candle]:
    """The next candles of BTC_1S that end."""
    candles = []
    async with aclosing(feed.candles(BTC_1S, None, 0)) as events, asyncio.timeout(20):
        async for event in events:
            if event.kind in (CandleEventKind.CLOSED, CandleEventKind.CORRECTED):
                candles.append(event.candle)
            if len(candles) == count:
                break
    return candles


async def stored(db: DatabaseOperations) -> list[Trade]:
    now = datetime.now(UTC)
    return await db.tape.between("okx", BTC, now - timedelta(days=1), now + timedelta(hours=1))


async def channels(feed: Feed, wanted: int, *, with_lag: bool = False) -> list[FeedHealth]:
    async with aclosing(feed.health()) as healths, asyncio.timeout(20):
        async for health in healths:
            if (
                len([row for row in health.feeds if row.connected and (row.lag_ms is not None or not with_lag)])
                >= wanted
            ):
                return health.feeds
    raise AssertionError


def assert_true_to(exchange: Simulator, candles: list[Candle]) -> None:
    """Each candle is what anyone would compute from all trades that happened in its time."""
    for candle in candles:
        (truth,) = plain(happened(exchange, candle.start_time, candle.end_time), candle.timeframe)
        # A candle that is the exchange's own knows no count.
        count = candle.trade_count if candle.origin is Origin.EXCHANGE else truth.trade_count
        assert told(candle) == told(replace(truth, trade_count=count))


def told(candle: Candle) -> str:
    """A candle as a line, which a failed assertion shows whole; equal numbers are written alike."""
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    written = " ".join(f"{number.normalize():f}" for number in numbers)
    return f"{candle.start_time.time()} {written} {candle.trade_count}"


async def test_trades_and_candles_are_those_that_happened(exchange, db, feed):
    async with a_collector(exchange, db, feed):
        candles = await closed(feed, 2)
        (row,) = await channels(feed, 1, with_lag=True)

    trades = await stored(db)
    assert (
        trades
        == happened(exchange, trades[0].timestamp, trades[-1].timestamp + timedelta(milliseconds=1))[-len(trades) :]
    )
    assert_true_to(exchange, candles)
    assert (row.channel, row.symbol, row.reconnects) == ("trades-all", BTC, 0)
    assert row.lag_ms < 5000


async def test_a_second_start_goes_on_where_the_first_ended(exchange, db, feed):
    async with a_collector(exchange, db, feed):
        await closed(feed, 1)

    async with a_collector(exchange, db, feed):
        candles = await closed(feed, 3)

    ids = [trade.trade_id for trade in await stored(db)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert_true_to(exchange, candles)


async def test_what_the_stream_leaves_out_is_read_back(exchange, db, feed):
    exchange.faults.skip_every = 5

    async with a_collector(exchange, db, feed):
        await closed(feed, 1)
        exchange.drop()
        candles = await closed(feed, 3)
        (row,) = await channels(feed, 1)

    assert_true_to(exchange, candles)
    assert row.reconnects == 1


async def test_a_connection_whose_end_is_announced_is_replaced_without_a_loss(exchange, db, feed):
    async with a_collector(exchange, db, feed):
        await closed(feed, 1)
        with capture_logs() as logs:
            exchange.announce_upgrade()
            candles = await closed(feed, 3)
        (row,) = await channels(feed, 1)

    ids = [trade.trade_id for trade in await stored(db)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert_true_to(exchange, candles)
    assert row.reconnects == 1
    happenings = {log["event"] for log in logs}
    assert "OKX announces" in happenings
    assert "Disconnected" not in happenings


async def test_a_channel_that_falls_silent_is_opened_anew_and_what_it_left_out_is_read_back(
    exchange, db, feed, monkeypatch
):
    monkeypatch.setattr(watchdog, "SILENT_AFTER", 0.5)
    monkeypatch.setattr(watchdog, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(session, "PING_EVERY", 0.1)
    collector = a_collector(exchange, db, feed)

    async with collector:
        await closed(feed, 1)
        exchange.forget("trades-all", BTC)
        candles = await closed(feed, 3)
        (row,) = await channels(feed, 1)

    ids = [trade.trade_id for trade in await stored(db)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert_true_to(exchange, candles)
    assert (collector.stalls, row.reconnects) == (1, 1)


async def test_a_connection_that_dies_without_a_word_ends_no_candle(exchange, db, feed, monkeypatch):
    monkeypatch.setattr(pipeline, "LATENESS", timedelta(seconds=0.5))
    monkeypatch.setattr(session, "PING_EVERY", 0.1)
    monkeypatch.setattr(session, "PONG_WITHIN", 2.0)
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT", 0.1)
    finals: dict[datetime, list[Candle]] = {}

    async with asyncio.timeout(25), aclosing(feed.candles(BTC_1S, None, 0)) as events, a_collector(exchange, db, feed):
        died = None
        async for event in events:
            if event.candle is not None and event.candle.is_final:
                finals.setdefault(event.candle.start_time, []).append(event.candle)
            if died is None and finals:
                died = max(finals)
                connection_of(exchange).faults.half_open = True
            if died and {died + timedelta(seconds=n) for n in range(5)} <= finals.keys():
                break

    assert [len(told) for told in finals.values()] == [1] * len(finals)
    assert_true_to(exchange, [candle for (candle,) in finals.values()])


async def test_a_quiet_connection_that_is_alive_ends_candles(exchange, db, feed, monkeypatch):
    monkeypatch.setattr(pipeline, "LATENESS", timedelta(seconds=0.5))
    monkeypatch.setattr(session, "PING_EVERY", 0.1)

    async with a_collector(exchange, db, feed), asyncio.timeout(20):
        await closed(feed, 1)
        exchange.faults.silent.add(("trades-all", BTC))
        while (await db.market_data.get_latest_candle(BTC, "1s")).end_time <= (await stored(db))[-1].timestamp:
            await asyncio.sleep(0.01)


async def test_what_the_exchange_does_not_know_is_told_once(exchange, db, feed):
    exchange.faults.answers.append(Answer("tickers", "60018", times=1_000))
    options = {"data_types": [DataType.TRADE, DataType.TICKER], "store_raw_data": True}

    with capture_logs() as logs:
        async with a_collector(exchange, db, feed, symbols=["NOPE-USDT", BTC], **options):
            await channels(feed, 1)
            exchange.drop()
            candles = await closed(feed, 2)
            rows = await channels(feed, 1)

    alarms = [(log["arg"], log["code"]) for log in logs if log["event"] == "OKX refused"]
    # Single matches and aggregates of an unknown symbol are tried in turn.
    refused = [(row.channel.removesuffix("-all"), row.symbol) for row in rows if not row.connected]
    assert sorted(alarms) == [
        ("tickers BTC-USDT", "60018"),
        ("tickers NOPE-USDT", "60018"),
        ("trades NOPE-USDT", "60018"),
        ("trades-all NOPE-USDT", "60018"),
    ]
    assert sorted(refused) == [("tickers", BTC), ("tickers", "NOPE-USDT"), ("trades", "NOPE-USDT")]
    assert_true_to(exchange, candles)


@pytest.mark.parametrize("how", ["a few minutes", "a connection", "the instruments"])
async def test_a_symbol_that_is_listed_later_is_followed_after(exchange, db, feed, monkeypatch, how):
    if how == "a few minutes":
        monkeypatch.setattr(session, "ASK_UNKNOWN_AFTER", 0.5)
    if how == "the instruments":
        monkeypatch.setattr(collector_module, "INSTRUMENTS_EVERY", 0.5)
    named = "channel:trades-all,instId:BTC-USDT doesn't exist"
    exchange.faults.answers += [Answer("trades-all", "60018", named), Answer("trades", "60018")]

    with capture_logs() as logs:
        async with a_collector(exchange, db, feed, symbols=[BTC, "ETH-USDT"]), asyncio.timeout(30):
            while len([log for log in logs if log["event"] == "OKX refused"]) < 2:
                await asyncio.sleep(0.01)
            if how == "a connection":
                exchange.drop()
            candles = await closed(feed, 2)
            rows = await channels(feed, 2)

    assert {(row.channel, row.symbol) for row in rows} == {("trades-all", BTC), ("trades-all", "ETH-USDT")}
    assert_true_to(exchange, candles)


async def test_many_symbols_share_out_over_connections(exchange, db, feed, monkeypatch):
    monkeypatch.setattr(channels_module, "ARGS_PER_CONNECTION", 2)
    symbols = [BTC, "ETH-USDT", "SOL-USDT", "NOPE-USDT"]

    async with a_collector(exchange, db, feed, symbols=symbols, timeframes={}):
        rows = await channels(feed, 3)
        subscribed = [len(connection.subscriptions) for connection in exchange.connections.values()]

    assert {(row.symbol, row.connected) for row in rows} == {(symbol, symbol != "NOPE-USDT") for symbol in symbols}
    assert sorted(subscribed) == [1, 2]


async def test_where_single_matches_are_refused_aggregates_serve(exchange, db, feed):
    exchange.faults.answers.append(Answer("trades-all", "64003"))

    async with a_collector(exchange, db, feed):
        candles = await closed(feed, 4)
        (row,) = await channels(feed, 1)
        async with asyncio.timeout(20), aclosing(feed.trades("okx", BTC, None, 1000)) as events:
            async for event in events:
                if any(trade.count > 1 for trade in event.trades):
                    break

    assert_true_to(exchange, candles)
    assert row.channel == "trades"


async def test_one_bad_symbol_or_frame_stops_nothing(exchange, db, feed):
    exchange.faults.malformed = 1
    collector = a_collector(exchange, db, feed, symbols=["NOPE-USDT", BTC], timeframes={BTC: ["1s"]})
    registry = CollectorRegistry()
    registry.register(CollectorMetrics([collector]))

    async with collector:
        candles = await closed(feed, 2)
        rows = await channels(feed, 1)

    assert {(row.symbol, row.connected) for row in rows} == {("NOPE-USDT", False), (BTC, True)}
    assert collector.malformed == registry.get_sample_value("candleql_okx_frames_malformed_total") == 1
    assert registry.get_sample_value("candleql_open_gaps", {"exchange": "okx", "symbol": "NOPE-USDT"}) == 0
    assert_true_to(exchange, candles)


async def test_other_channels_are_stored_where_raw_data_is(db, feed):
    kinds = [DataType.TRADE, DataType.TICKER, DataType.ORDERBOOK, DataType.CANDLE]
    since, until = EPOCH, datetime.now(UTC) + timedelta(hours=1)

    # A ticker needs the trades of a day: this exchange has few.
    async with Simulator(seed=5) as exchange, a_collector(exchange, db, feed, data_types=kinds, store_raw_data=True):
        rows = await channels(feed, 4)
        async with asyncio.timeout(20):
            for kind in kinds:
                while not await db.raw_trades.get_raw_trades(BTC, kind.value, since, until, limit=1):
                    await asyncio.sleep(0.01)
    assert [row.channel for row in rows] == ["tickers", "books5", "trades-all", "candle1m"]


async def test_other_channels_are_not_followed_for_nothing(exchange, db, feed):
    async with a_collector(exchange, db, feed, data_types=[DataType.TRADE, DataType.TICKER]):
        (row,) = await channels(feed, 1)

    assert row.channel == "trades-all"


async def test_instruments_are_kept(exchange, db, feed):
    async with a_collector(exchange, db, feed), asyncio.timeout(20):
        await closed(feed, 1)
        while not (known := await db.instruments.get_many([("okx", "BTC-USDT-SWAP")])):
            await asyncio.sleep(0.01)

    (swap,) = known.values()
    assert (format(swap.contract_value, "f"), swap.state) == ("0.01", "live")


async def test_a_collector_makes_a_feed_of_its_own_when_it_has_none(exchange, db, feed):
    async with a_collector(exchange, db):
        candles = await closed(feed, 1)

    assert_true_to(exchange, candles)


async def test_a_database_that_loses_its_connections_loses_no_trade(exchange, db, feed):
    async with a_collector(exchange, db, feed):
        await closed(feed, 1)
        async with db.engine.connect() as connection:
            for _ in range(5):
                await connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.1)
        candles = await closed(feed, 3)

    ids = [trade.trade_id for trade in await stored(db)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert_true_to(exchange, candles)


async def test_a_start_without_a_database_says_so(exchange, tmp_path):
    nowhere = DatabaseOperations(f"postgresql://nobody@/nothing?host={tmp_path}")

    with pytest.raises(DatabaseUnavailable):
        await a_collector(exchange, nowhere).start()


async def test_stopping_what_never_started_is_fine(exchange, db):
    await a_collector(exchange, db).stop()


async def test_a_wrong_timeframe_is_refused(exchange, db):
    with pytest.raises(InvalidValue, match="timeframe"):
        a_collector(exchange, db, timeframes={BTC: ["7x"]})


def an_hour() -> datetime:
    """One that is past, and traded."""
    return Timeframe("1h").floor(datetime.now(UTC)) - timedelta(hours=2)
