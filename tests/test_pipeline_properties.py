"""However trades come, in whatever pieces and order and through whatever crashes: their candles are the same."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.pipeline import LATENESS
from repos.domain import EXACT, Candle, Timeframe, Trade
from repos.operations import DatabaseOperations
from tests.builders import NOON
from tests.market import Market
from tests.trades import a_trade, plain, records

pytestmark = pytest.mark.anyio

TIMEFRAMES = ("5s", "15s", "1m")
_names = count(1)
drawn = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def markets(draw: st.DrawFn, steps: tuple[int, int], longest: int = 40) -> list[Trade]:
    """A market's trades, the first before NOON; from one id to the next so many seconds pass. Some are aggregates."""
    symbol = f"COIN{next(_names)}-USDT"
    trades, second, trade_id = [a_trade(1, -1, symbol=symbol)], 0, 1
    for _ in range(draw(st.integers(2, longest))):
        second = max(0, second + draw(st.integers(*steps)))
        matches = draw(st.sampled_from([1, 1, 1, 3]))
        trade_id += matches
        price, size = str(draw(st.integers(1, 99))), str(draw(st.integers(0, 9)))
        trades.append(a_trade(trade_id, second, price, size, matches, symbol))
    return trades


def pieces(draw: st.DrawFn, trades: list[Trade]) -> list[list[Trade]]:
    cuts = sorted(draw(st.lists(st.integers(0, len(trades)), max_size=5)))
    return [trades[a:b] for a, b in pairwise([0, *cuts, len(trades)])]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Trade], list[list[Trade]]]:
    """Trades, and the batches that brought them: some twice, perhaps shuffled. Time may step back a little."""
    trades = draw(markets((-2, 4)))
    given_trades = trades + draw(st.lists(st.sampled_from(trades), max_size=10))
    if draw(st.booleans()):
        given_trades = [trades[0], *draw(st.permutations(given_trades[1:]))]
    return trades, pieces(draw, given_trades)


@pytest.mark.parametrize("live", [True, False], ids=["live", "replayed"])
@drawn
@given(history=histories())
async def test_batches_in_any_order_make_the_candles_of_the_trades(
    db: DatabaseOperations, live: bool, history: tuple[list[Trade], list[list[Trade]]]
) -> None:
    trades, batches = history
    market = Market(db, *TIMEFRAMES, live=live)

    for batch in batches:
        await market.add(*batch)
    if live:
        await market.tick(NOON + timedelta(hours=1))
    else:
        await market.pipeline.finish()

    for timeframe in TIMEFRAMES:
        # Live, nothing tells that the first trade of all has opened its candle.
        assert await market.candles(timeframe, trades[0].symbol) == plain(trades, timeframe)[live:]


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[datetime, Trade]]:
    """Trades by the time when they arrive, each late by less than what is allowed."""
    allowed = int(LATENESS / timedelta(milliseconds=1)) - 1
    late = st.integers(0, allowed).map(lambda ms: timedelta(milliseconds=ms))
    first, *others = draw(markets((0, 4), longest=20))
    rest = [(trade.timestamp + draw(late), trade) for trade in others]
    return [(first.timestamp, first), *sorted(rest, key=lambda arrival: arrival[0])]


@drawn
@given(arriving=arrivals())
async def test_trades_late_within_what_is_allowed_revise_nothing(
    db: DatabaseOperations, arriving: list[tuple[datetime, Trade]]
) -> None:
    market = Market(db, *TIMEFRAMES)
    symbol = arriving[0][1].symbol

    for moment, trade in arriving:
        await market.tick(moment)
        await market.add(trade)
        latest = max(moment - LATENESS, *(given_trade.timestamp for at, given_trade in arriving if at <= moment))
        assert all(candle.is_final and candle.end_time <= latest for candle in await market.candles("5s", symbol))
    await market.tick(NOON + timedelta(hours=1))

    expected = [plain((trade for _, trade in arriving), timeframe)[1:] for timeframe in TIMEFRAMES]
    assert [await market.candles(timeframe, symbol) for timeframe in TIMEFRAMES] == expected
    assert market.pipeline.candles_written == sum(map(len, expected))


class Batch(NamedTuple):
    trades: list[Trade]
    restarts: bool
    """Whether another process takes it over."""
    crashes: bool
    """Whether that process ends when these trades are stored and nothing else is done."""


@st.composite
def crashes(draw: st.DrawFn) -> list[Batch]:
    """Trades in the order of their ids; what came before may come again."""
    trades = draw(markets((0, 20), longest=25))
    batches, done = [], 0
    for piece in pieces(draw, trades):
        again = trades[max(0, done - draw(st.integers(0, 5))) : done]
        done += len(piece)
        batches.append(Batch(draw(st.permutations(again + piece)), draw(st.booleans()), draw(st.booleans())))
    return batches


@settings(drawn, max_examples=15)
@given(batches=crashes())
async def test_crashes_between_trades_and_candles_change_no_candle(
    db: DatabaseOperations, batches: list[Batch]
) -> None:
    market = Market(db, *TIMEFRAMES)
    trades = sorted({trade for batch in batches for trade in batch.trades}, key=lambda trade: trade.trade_id)

    for batch in batches:
        if batch.restarts:
            market = Market(db, *TIMEFRAMES)
        if batch.crashes:
            await db.tape.insert(records(*batch.trades))
            market = Market(db, *TIMEFRAMES)
        else:
            await market.add(*batch.trades)
    await market.add(trades[-1])
    await market.tick(NOON + timedelta(hours=1))

    assert await db.tape.between("okx", trades[0].symbol, trades[0].timestamp, NOON + timedelta(hours=1)) == trades
    for timeframe in TIMEFRAMES:
        assert await market.candles(timeframe, trades[0].symbol) == plain(trades, timeframe)[1:]


@drawn
@given(trades=markets((0, 600)), cut=st.integers(1, 40))
async def test_stored_minutes_rolled_up_equal_the_stored_longer_candles(
    db: DatabaseOperations, trades: list[Trade], cut: int
) -> None:
    market = Market(db, "1m", "5m", "15m", "1h")

    await market.add(*trades[:cut])
    await market.add(*trades[cut:])
    await market.tick(NOON + timedelta(days=1))

    minutes = await market.candles("1m", trades[0].symbol)
    for timeframe in ("5m", "15m", "1h"):
        assert await market.candles(timeframe, trades[0].symbol) == rolled_up(minutes, Timeframe(timeframe))


def rolled_up(minutes: list[Candle], timeframe: Timeframe) -> list[Candle]:
    longer: dict[datetime, Candle] = {}
    for part in minutes:
        start = timeframe.floor(part.start_time)
        if start not in longer:
            longer[start] = replace(part, timeframe=timeframe, start_time=start, end_time=timeframe.end(start))
            continue
        whole = longer[start]
        assert whole.trade_count is not None
        assert part.trade_count is not None
        longer[start] = replace(
            whole,
            high=max(whole.high, part.high),
            low=min(whole.low, part.low),
            close=part.close,
            volume=EXACT.add(whole.volume, part.volume),
            trade_count=whole.trade_count + part.trade_count,
        )
    return list(longer.values())
