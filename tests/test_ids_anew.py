"""An exchange that begins its trade ids anew: a trade is known by its id and its time."""

import json
from datetime import timedelta

import pytest

from repos.domain import Gap, Series, Trade
from repos.operations import DatabaseOperations
from tests.builders import NOON
from tests.canned import a_reply, answering
from tests.market import Market
from tests.test_repair import mending
from tests.trades import SECOND, a_trade, plain, records

pytestmark = pytest.mark.anyio

OLD = [a_trade(100 + n, n - 2, str(500 + n)) for n in range(6)]  # the last 3 s after NOON
MINUTE = Series.of("okx", "BTC-USDT", "1m")


def numbered_on(trades: list[Trade], timeframe: str) -> list:
    """The candles of trades in this order, whatever their ids."""
    shifted = [a_trade(n, (t.timestamp - NOON) / SECOND, str(t.price)) for n, t in enumerate(trades, 1)]
    return plain(shifted, timeframe)


async def begun(market: Market, *new: Trade) -> Gap:
    """Have ids begin anew, and the gap that was reported closed."""
    await market.add(*OLD)
    await market.add(*new)
    (gap,) = (hole for hole in market.holes if isinstance(hole, Gap))
    await market.pipeline.complete(gap)
    return gap


@pytest.mark.parametrize("first", [1, 99, 102], ids=["from 1", "lower", "among the old ones"])
async def test_no_trade_is_dropped_and_forming_goes_on(db: DatabaseOperations, first: int) -> None:
    market = Market(db, "1m", "5s")
    new = [a_trade(first + n, 4 + n, str(600 + n)) for n in range(8)]

    gap = await begun(market, new[0])
    for trade in new[1:]:
        assert await market.add(trade) == [trade]
    forming = market.pipeline.forming(MINUTE)
    await market.add(a_trade(first + 8, 61))

    assert gap == Gap("okx", "BTC-USDT", 0, first - 1, OLD[-1].timestamp, new[0].timestamp)
    minute = numbered_on([*OLD[2:], *new], "1m")
    assert forming is not None
    assert (forming.open, forming.close, forming.trade_count) == (OLD[2].price, new[-1].price, 12)
    assert await market.candles("1m") == minute
    assert await market.candles("5s") == numbered_on([*OLD, *new], "5s")[1:]


async def test_a_batch_that_holds_old_and_new_ids_loses_none(db: DatabaseOperations) -> None:
    market = Market(db, "1m")
    new = [a_trade(101 + n, 4 + n, str(600 + n)) for n in range(8)]

    await market.add(*OLD[:3])
    await market.add(*new, *OLD)
    for hole in [hole for hole in market.holes if isinstance(hole, Gap)]:
        await market.pipeline.complete(hole)
    await market.add(a_trade(109, 61))

    assert await market.candles("1m") == numbered_on([*OLD[2:], *new], "1m")


async def test_a_lost_trade_of_new_ids_is_reported_and_one_of_the_old_is_not_taken_for_it(
    db: DatabaseOperations,
) -> None:
    market = Market(db)
    await begun(market, a_trade(100, 6), a_trade(101, 7))
    market.holes.clear()

    await market.add(a_trade(103, 8), a_trade(104, 11))
    before = await market.candles()
    await market.add(a_trade(102, 7.5))

    assert market.holes[0] == Gap("okx", "BTC-USDT", 102, 102, NOON + 7 * SECOND, NOON + 8 * SECOND)
    whole = plain([a_trade(100, 6), a_trade(101, 7), a_trade(102, 7.5), a_trade(103, 8)], "5s")
    assert whole[0] not in before
    assert whole[0] in await market.candles()


@pytest.mark.parametrize("grown", [5, 200], ids=["still below", "beyond the old ones"])
async def test_a_start_after_ids_began_anew_makes_the_same_candles(db: DatabaseOperations, grown: int) -> None:
    new = [a_trade(1 + n, 4 + n * 0.1, str(600 + n)) for n in range(grown)]
    await begun(Market(db, "1h"), *new)
    later = Market(db, "1h", since=NOON + 30 * SECOND)

    await later.add(a_trade(grown + 1, 40, "700"))
    for hole in [hole for hole in later.holes if isinstance(hole, Gap)]:
        await later.pipeline.complete(hole)
    await later.add(a_trade(grown + 2, 3_601))

    assert await later.candles("1h") == numbered_on([*OLD[2:], *new, a_trade(grown + 1, 40, "700")], "1h")


async def test_what_was_lost_around_the_new_beginning_is_read_back(db: DatabaseOperations) -> None:
    known, lost = a_trade(105, 3), [a_trade(106, 4), a_trade(1, 5), a_trade(2, 6)]
    replies = [
        [json.loads(record.raw) for record in records(lost[2], lost[1])],
        [],  # ids end here
        [json.loads(record.raw) for record in records(lost[2], lost[1], lost[0], known)],  # asked for by time
    ]
    gap = Gap("okx", "BTC-USDT", 0, 2, known.timestamp, NOON + 7 * SECOND)

    async with answering(*(a_reply(*rows) for rows in replies)) as rest, mending(db, rest) as repair:
        repair.report(gap)
        await repair.idle()

    assert await db.tape.between("okx", "BTC-USDT", NOON, NOON + timedelta(minutes=1)) == [known, *lost]
    assert await db.gaps.of("okx", ["BTC-USDT"]) == []


async def test_gaps_of_the_same_ids_and_other_times_are_apart(db: DatabaseOperations) -> None:
    sooner = Gap("okx", "BTC-USDT", 10, 20, NOON, NOON + SECOND)
    later = Gap("okx", "BTC-USDT", 12, 14, NOON + 60 * SECOND, NOON + 61 * SECOND)

    await db.gaps.add(sooner)
    await db.gaps.add(later)
    await db.gaps.close(later)

    assert await db.gaps.of("okx", ["BTC-USDT"]) == [sooner]
