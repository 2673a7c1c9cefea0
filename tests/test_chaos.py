"""Harm done to a whole system of real processes; and that the fault suite would see what it looks for."""

import asyncio
import shutil
from datetime import timedelta
from decimal import Decimal

import pytest

from chaos.check import (
    Findings,
    Stored,
    StoredCandle,
    StoredTrade,
    check_candle_log,
    check_candles,
    check_stored,
    check_trade_log,
)
from chaos.check import check_trades as check_stored_trades
from chaos.faults import FAULTS, plan
from chaos.gaps import TOLD_WITHIN, GapState
from chaos.ledger import TIMEFRAMES, Ledger, Prices, instant
from chaos.proxy import Proxy
from chaos.subscribers import CandleLog, HeardCandle, TradeLog
from chaos.system import System, a_folder
from tests.simulated import NOON

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]
BTC = "BTC-USDT"
UNTIL = NOON + 60_000
LEDGER = Ledger(BTC, seed=7, rate=1.0)


def test_the_same_seed_draws_the_same_faults_and_each_kind_before_any_twice():
    faults = plan(3, 2 * len(FAULTS))

    assert faults == plan(3, 2 * len(FAULTS)) != plan(4, 2 * len(FAULTS))
    assert {fault.name for fault in faults[: len(FAULTS)]} == set(FAULTS)


async def test_nothing_is_lost_when_programs_and_their_database_are_killed():
    folder = a_folder()
    async with System.running(folder, seed=1) as system:
        for name in ("pushes skipped", "clients cut", "database killed", "API killed", "collector and API killed"):
            await FAULTS[name](system, 0.2)
        await system.recovered(5)
        findings = await system.quiet()
        complaints, adoptions = system.complaints, system.adoptions
    shutil.rmtree(folder)

    assert complaints + findings.all == []
    assert adoptions


async def test_subscribers_of_a_database_that_is_replaced_by_an_older_copy_begin_anew_and_miss_nothing():
    folder = a_folder()
    async with System.running(folder, seed=2) as system:
        await FAULTS["database replaced by an older copy"](system, 1)
        await system.recovered(30)
        findings = await system.quiet()
        complaints, beginnings = system.complaints, [log.beginnings for log in system.logs]
    shutil.rmtree(folder)

    assert complaints + findings.all == []
    assert all(beginnings)


@pytest.fixture
def rows():
    """The trades of a minute, as they are to be stored."""
    return [
        StoredTrade(row, BTC, true.id, true.id, instant(true.ms), true.price, true.size, true.side)
        for row, true in enumerate(LEDGER.trades(NOON, UNTIL).values(), 1)
    ]


@pytest.fixture
def candles():
    """Its candles, as they are to be stored."""
    true = LEDGER.candles("5s", NOON, UNTIL)
    return {start: StoredCandle(revision, "trades", true[start]) for revision, start in enumerate(sorted(true), 1)}


def counts(findings: Findings) -> tuple[int, int, int, int]:
    return len(findings.lost), len(findings.doubled), len(findings.disordered), len(findings.wrong)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda rows: rows, (0, 0, 0, 0), id="all as it happened"),
        pytest.param(lambda rows: rows[:5] + rows[6:], (1, 0, 0, 0), id="one is missing"),
        pytest.param(lambda rows: [*rows, rows[3]], (0, 1, 0, 0), id="one is stored twice"),
        pytest.param(lambda rows: [rows[0]._replace(size=Decimal(9)), *rows[1:]], (1, 0, 0, 0), id="of another size"),
    ],
)
def test_stored_trades_are_compared_with_the_ledger(rows, change, found):
    findings = Findings()

    check_stored_trades(findings, BTC, LEDGER, Stored(change(rows), {}), NOON, UNTIL)

    assert counts(findings) == found


def test_stored_candles_are_compared_with_the_ledger(candles):
    first, second, *_ = candles
    prices = candles[second].prices
    held = candles | {second: candles[second]._replace(prices=prices._replace(volume=prices.volume + 1))}
    del held[first]
    findings = Findings()

    check_candles(findings, BTC, "5s", LEDGER, Stored([], {(BTC, "5s"): held}), NOON, UNTIL)

    assert counts(findings) == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda heard: heard, (0, 0, 0, 0), id="all in order"),
        pytest.param(lambda heard: heard[:2] + heard[3:], (1, 0, 0, 0), id="one is missing"),
        pytest.param(lambda heard: [*heard, heard[-1]], (0, 1, 0, 0), id="the same cursor twice"),
        pytest.param(lambda heard: [heard[1], heard[0], *heard[2:]], (0, 0, 1, 0), id="revisions go back"),
    ],
)
def test_what_a_subscriber_of_candles_heard_is_compared_with_what_is_stored(candles, change, found):
    heard = [HeardCandle("CLOSED", row.revision, start, row.prices, True) for start, row in candles.items()]
    findings = Findings()

    check_candle_log(
        findings, CandleLog(BTC, "5s", first_revision=0, heard=change(heard)), Stored([], {(BTC, "5s"): candles})
    )

    assert counts(findings) == found


def test_a_forming_candle_after_its_own_closed_is_out_of_order(candles):
    heard = [HeardCandle("CLOSED", row.revision, start, row.prices, True) for start, row in candles.items()]
    late = HeardCandle("FORMING", heard[-1].revision, heard[-1].start, heard[-1].prices, False)
    early = HeardCandle("FORMING", 0, heard[0].start - timedelta(hours=1), Prices(*[Decimal(1)] * 5, 1), False)
    findings = Findings()

    check_candle_log(
        findings,
        CandleLog(BTC, "5s", first_revision=0, heard=[early, *heard, late]),
        Stored([], {(BTC, "5s"): candles}),
    )

    assert counts(findings) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda ids: ids[4:], (0, 0, 0, 0), id="all since the first"),
        pytest.param(lambda ids: ids[:5] + ids[6:], (1, 0, 0, 0), id="one is missing"),
        pytest.param(lambda ids: [*ids, ids[3]], (0, 1, 0, 0), id="one came twice"),
        pytest.param(lambda ids: [ids[0], ids[2], ids[1], *ids[3:]], (0, 0, 1, 0), id="another order"),
    ],
)
def test_what_a_subscriber_of_trades_heard_is_compared_with_what_is_stored(rows, change, found):
    findings = Findings()

    check_trade_log(findings, TradeLog(BTC, heard=change([row.last_id for row in rows])), Stored(rows, {}))

    assert counts(findings) == found


LOST = GapState(3, BTC, instant(NOON + 7_000), instant(NOON + 12_000), True, instant(UNTIL))
NOTICED = LOST._replace(is_open=False)
FOUND = LOST._replace(is_open=False, at=LOST.at + 2 * TOLD_WITHIN)
WHOLE = instant(NOON + 5_000), instant(NOON + 15_000)
EXACT = LOST.after, LOST.before + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("told", "states", "found"),
    [
        pytest.param([WHOLE], [LOST, FOUND], (0, 0, 0, 0), id="told"),
        pytest.param([], [LOST, FOUND], (1, 0, 0, 0), id="not told"),
        pytest.param([], [LOST, FOUND._replace(at=LOST.at)], (0, 0, 0, 0), id="too short to be told"),
        pytest.param([EXACT], [LOST, FOUND._replace(at=LOST.at)], (0, 0, 0, 1), id="not in whole candles"),
        pytest.param([WHOLE], [FOUND], (0, 0, 0, 1), id="recovered at once"),
    ],
)
def test_gaps_that_were_told_are_compared_with_those_that_were_open(candles, told, states, found):
    heard = [HeardCandle("CLOSED", row.revision, start, row.prices, True) for start, row in candles.items()]
    log = CandleLog(BTC, "5s", first_revision=0, heard=heard, gaps=told)
    findings = Findings()

    check_candle_log(findings, log, Stored([], {(BTC, "5s"): candles}, states))

    assert counts(findings) == found


def test_the_tape_tells_gaps_from_trade_to_trade(rows):
    log = TradeLog(BTC, heard=[row.last_id for row in rows], gaps=[EXACT])
    findings = Findings()

    check_trade_log(findings, log, Stored(rows, {}, [LOST, FOUND]))

    assert findings.all == []


@pytest.mark.parametrize(
    ("states", "found"),
    [
        pytest.param([], (0, 0, 0, 1), id="all trades were there"),
        pytest.param([LOST, FOUND], (0, 0, 0, 0), id="trades were given up for a time"),
        pytest.param([LOST], (1, 0, 0, 0), id="trades are missing still"),
        pytest.param([NOTICED, FOUND], (0, 0, 0, 1), id="trades were missing for a moment"),
    ],
)
def test_the_exchange_s_own_candle_stands_only_where_trades_were_missing(rows, states, found):
    candles = {
        (BTC, timeframe): {
            start: StoredCandle(1, "trades", prices) for start, prices in LEDGER.candles(timeframe, NOON, UNTIL).items()
        }
        for timeframe in TIMEFRAMES
    }
    minute = LEDGER.candles("1m", NOON, UNTIL)[instant(NOON)]._replace(trade_count=None)
    candles[BTC, "1m"][instant(NOON)] = StoredCandle(1, "exchange", minute)
    findings = Findings()

    check_stored(findings, {BTC: LEDGER}, Stored(rows, candles, states), UNTIL)

    assert counts(findings) == found


@pytest.fixture
async def line():
    """A proxy in front of a server that sends back what it gets, and a connection through it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with asyncio.timeout(10), await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        proxy = Proxy("127.0.0.1", server.sockets[0].getsockname()[1])
        async with proxy.running() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await reader.read(100) == b"hello"
            yield proxy, reader, writer
            writer.close()


async def test_a_proxy_that_is_cut_ends_its_connections(line):
    proxy, reader, _ = line

    proxy.cut()

    assert await reader.read(100) == b""


async def test_a_stalled_proxy_sends_all_later(line):
    proxy, reader, writer = line

    proxy.stall()
    writer.write(b"late")
    answer = asyncio.create_task(reader.read(100))
    await asyncio.wait((answer,), timeout=0.05)
    was_silent = not answer.done()
    proxy.flow()

    assert (was_silent, await answer) == (True, b"late")


async def test_a_half_open_connection_is_silent_for_ever(line):
    proxy, reader, writer = line

    proxy.half_open()
    writer.write(b"lost")
    answer = asyncio.create_task(reader.read(100))
    await asyncio.wait((answer,), timeout=0.05)

    assert not answer.done()
    answer.cancel()
