import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from collector import replay as module
from collector.replay import ReplayReport, replay
from repos.decode import decode_trade
from repos.domain import Candle, Series, Timeframe, Trade
from repos.errors import DatabaseOperationError
from repos.feed.news import FormingNews, News
from repos.operations import DatabaseOperations
from tests.trades import a_trade, plain, records

pytestmark = pytest.mark.anyio

OURS = Path(__file__).parent / "captures" / "session.ws.1.0"
SHARED = Path(__file__).parents[2] / "shared" / "okx" / "captures"
THEIRS = SHARED / "cryptofeed-2022-02-27" / "OKX.ws.1.0"
TIMEFRAMES = [Timeframe(text) for text in ("5s", "1m", "5m", "1h", "1d", "1w", "1M")]
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

recordings = pytest.mark.parametrize(
    "recording",
    [
        pytest.param(OURS, id="ours"),
        pytest.param(
            THEIRS, id="recorded in 2022", marks=pytest.mark.skipif(not THEIRS.exists(), reason="it is not here")
        ),
    ],
)
batches = pytest.mark.parametrize("batch", [7, 1_000], ids=["small batches", "large batches"])


def all_timeframes(_: str) -> list[Timeframe]:
    return TIMEFRAMES


def trades_in(recording: Path) -> dict[str, list[Trade]]:
    """Every trade of a recording, once, by symbol: found without any code of the collector's but the decoder."""
    found: dict[str, dict[int, Trade]] = {}
    for line in recording.read_bytes().splitlines():
        if match := re.fullmatch(rb'[0-9.]+: (\{"arg":\{"channel":"trades(?:-all)?".*\}\]\})', line):
            frame = json.loads(match[1])
            symbol = frame["arg"]["instId"]
            for each in frame["data"]:
                if re.fullmatch(r"[0-9.]+", each["px"]):  # one of ours is wrong on purpose
                    found.setdefault(symbol, {})[int(each["tradeId"])] = decode_trade("okx", symbol, each)
    return {symbol: [trades[i] for i in sorted(trades)] for symbol, trades in found.items()}


async def stored(db: DatabaseOperations) -> dict[Series, tuple[list[Candle], int]]:
    """Every stored candle, and the revision of its series."""
    everything = [market.series for market in await db.market_data.markets()]
    revisions = await db.market_data.revisions(everything)
    return {
        series: (await db.market_data.get_candles(series.symbol, series.timeframe, *EVER), revisions[series])
        for series in everything
    }


def plainly(trades: dict[str, list[Trade]]) -> dict[Series, list[Candle]]:
    return {
        Series("okx", symbol, timeframe): plain(held, timeframe)
        for symbol, held in trades.items()
        for timeframe in TIMEFRAMES
    }


async def candles(db: DatabaseOperations) -> dict[Series, list[Candle]]:
    return {series: held for series, (held, _) in (await stored(db)).items()}


@recordings
@batches
async def test_a_replay_stores_the_trades_of_the_recording_and_their_candles(
    db: DatabaseOperations, recording: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", batch)
    trades = trades_in(recording)

    report = await replay([recording], db, timeframes=all_timeframes)

    for symbol, expected in trades.items():
        rows = await db.raw_trades.get_raw_trades(symbol, "trade", *EVER)
        assert [row.trade for row in sorted(rows, key=_by_id)] == expected
        assert await db.tape.between("okx", symbol, *EVER) == expected
    assert (await db.get_stats()).raw_trade_count == sum(map(len, trades.values())) == report.trades_stored
    assert await candles(db) == plainly(trades)


@recordings
@batches
async def test_a_second_replay_changes_nothing(
    db: DatabaseOperations, recording: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", batch)
    first = await replay([recording], db, timeframes=all_timeframes)
    before = await stored(db)

    second = await replay([recording], db, timeframes=all_timeframes)

    assert await stored(db) == before
    assert (second.trades_stored, second.candles_written) == (0, 0)
    assert second.trades_seen == first.trades_seen > 0
    assert first.candles_written >= sum(len(held) for held, _ in before.values())


@recordings
@pytest.mark.parametrize("failing", [1, 3])
async def test_a_replay_after_an_interrupted_one_completes_it(
    db: DatabaseOperations, recording: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 7)
    with monkeypatch.context() as patched:
        # The trades of that batch are stored, its candles are not: as a kill in between would leave them.
        patched.setattr(db.market_data, "upsert_candles", _failing_at(failing, db.market_data.upsert_candles))
        with pytest.raises(DatabaseOperationError):
            await replay([recording], db, timeframes=all_timeframes)

    await replay([recording], db, timeframes=all_timeframes)

    assert await candles(db) == plainly(trades_in(recording))


async def test_trades_stored_by_others_count_in_the_candles_of_a_replay(db: DatabaseOperations) -> None:
    trades = trades_in(OURS)
    symbol, held = next(iter(trades.items()))
    late = a_trade(held[-1].trade_id + 5, symbol=symbol)
    late = Trade("okx", symbol, late.trade_id, held[-1].timestamp, late.price, late.size, late.side)
    await db.tape.insert(records(late, *held[10:30]))

    await replay([OURS], db, timeframes=all_timeframes)

    assert await candles(db) == plainly(trades | {symbol: [*held, late]})


async def test_recordings_in_any_order_make_the_same_candles(
    db: DatabaseOperations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 7)
    lines = OURS.read_bytes().splitlines(keepends=True)
    parts = [tmp_path / "later", tmp_path / "sooner"]
    parts[0].write_bytes(b"".join(lines[60:]))
    parts[1].write_bytes(b"".join(lines[:60]))

    report = await replay(parts, db, timeframes=all_timeframes)

    assert await candles(db) == plainly(trades_in(OURS))
    assert report.lines == len(lines)


async def test_a_replay_reports_what_it_met(db: DatabaseOperations) -> None:
    told: list[tuple[int, int]] = []
    with structlog.testing.capture_logs() as logs:
        report = await replay(
            [OURS], db, timeframes=all_timeframes, on_progress=lambda done, total: told.append((done, total))
        )

    lines = OURS.read_bytes().splitlines()
    reasons = {
        24: "px: '12,5' is not a decimal number such as 0.00000001",
        51: "Input data was truncated",
        60: "not UTF-8: invalid start byte at byte 19",
        113: "no known kind of line",
    }
    assert [str(each) for each in report.malformed] == [f"{OURS}:{line}: {reason}" for line, reason in reasons.items()]
    assert report.malformed_count == 4
    logged = [entry for entry in logs if entry["event"] == "Malformed line"]
    assert [entry["where"] for entry in logged] == [f"{OURS}:{line}" for line in reasons]
    assert logged[1]["text"] == lines[50].decode().partition(": ")[2]
    assert (report.lines, report.frames) == (len(lines), len(lines) - 4)
    assert report.others == {
        "connection": 1,
        "sent request": 1,
        "subscribed": 4,
        "tickers": 9,
        "books5": 5,
        "pong": 1,
        "notice": 1,
        "refused": 1,
        "funding-rate": 1,
    }
    assert told == [(OURS.stat().st_size,) * 2]


async def test_only_the_first_malformed_lines_are_listed(db: DatabaseOperations, tmp_path: Path) -> None:
    recording = tmp_path / "prose"
    recording.write_text("hello\n" * 1_200)

    report = await replay([recording], db, timeframes=all_timeframes)

    assert (report.malformed_count, len(report.malformed), report.lines) == (1_200, 1_000, 1_200)


async def test_other_channels_are_stored_when_asked_for(db: DatabaseOperations) -> None:
    without = await replay([OURS], db, timeframes=all_timeframes)
    assert without.points_stored == 0

    report = await replay([OURS], db, timeframes=all_timeframes, store_raw_data=True)

    tickers = await db.raw_trades.get_raw_trades("PEAR-USDT", "ticker", *EVER)
    books = await db.raw_trades.get_raw_trades("PEAR-USDT", "orderbook", *EVER)
    assert (len(tickers), len(books)) == (9, 5)
    assert report.points_stored == 14


async def test_timeframes_are_those_of_the_symbol(db: DatabaseOperations) -> None:
    def frames(symbol: str) -> list[Timeframe]:
        return [Timeframe("1m")] if symbol == "PEAR-USDT" else []

    await replay([OURS], db, timeframes=frames)

    assert set(await stored(db)) == {Series.of("okx", "PEAR-USDT", "1m")}


async def test_candles_of_another_origin_are_replaced_only_by_force(db: DatabaseOperations) -> None:
    trades = trades_in(OURS)["PEAR-USDT"]
    [*_, last] = plain(trades, "1h")
    theirs = Candle(*last.series, *[last.open] * 4, last.volume, None, last.start_time, last.end_time)
    await db.market_data.upsert_candle(theirs)

    await replay([OURS], db, timeframes=all_timeframes)
    kept = await db.market_data.get_candle(last.series, last.start_time)
    await replay([OURS], db, timeframes=all_timeframes, force_update=True)

    assert kept == theirs
    assert await db.market_data.get_candle(last.series, last.start_time) == last


class Clock:
    """Seconds that pass only in `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.longest = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.longest = max(self.longest, seconds)


async def test_at_a_speed_time_passes_as_it_was_recorded_and_forming_candles_are_announced(
    db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Candle] = []
    publish = db.bus.publish

    async def overheard(*news: News) -> None:
        await publish(*news)
        for item in news:
            assert isinstance(item, FormingNews)
            heard.extend(item.candles)

    monkeypatch.setattr(db.bus, "publish", overheard)
    clock = Clock()

    await replay([OURS], db, timeframes=all_timeframes, speed=10, sleep=clock.sleep, clock=clock)

    trades = trades_in(OURS)
    moments = [float(match[1]) for match in re.finditer(rb"^([0-9.]+): ", OURS.read_bytes(), re.MULTILINE)]
    assert clock.now == pytest.approx((moments[-1] - moments[0]) / 10)
    assert clock.longest <= 0.25
    assert await candles(db) == plainly(trades)
    assert {candle.series.timeframe for candle in heard} == set(TIMEFRAMES)
    assert not any(candle.is_final for candle in heard)
    busiest = [candle for candle in heard if candle.series == Series.of("okx", "PEAR-USDT", "1h")]
    assert len(busiest) > 10
    assert [candle.trade_count for candle in busiest] == sorted(candle.trade_count or 0 for candle in busiest)


async def test_frames_without_a_time_are_not_waited_for(db: DatabaseOperations, tmp_path: Path) -> None:
    recording = tmp_path / "frames.jsonl"
    trades = [a_trade(i, i * 60) for i in range(1, 4)]
    head = '{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":'
    recording.write_text("\n".join(f"{head}[{record.raw}]}}" for record in records(*trades)))
    clock = Clock()

    report = await replay([recording], db, timeframes=all_timeframes, speed=1, sleep=clock.sleep, clock=clock)

    assert clock.now == 0
    assert report.trades_stored == 3
    assert await candles(db) == plainly({"BTC-USDT": trades})


async def test_nothing_to_replay_is_no_work(db: DatabaseOperations) -> None:
    assert await replay([], db, timeframes=all_timeframes) == ReplayReport()


def _by_id(row: Any) -> int:
    return int(row.raw_data["tradeId"])


def _failing_at(call: int, method: Any) -> Any:
    calls = 0

    async def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise DatabaseOperationError("the power went off")
        return await method(*arguments, **named)

    return failing
