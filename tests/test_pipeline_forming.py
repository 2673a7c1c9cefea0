"""Candles that are still forming: what is announced of them, and when."""

import pytest

from repos.domain import Candle, Timeframe
from repos.feed.news import FormingNews, News
from repos.operations import DatabaseOperations
from tests.builders import NOON
from tests.market import BTC, Market
from tests.trades import SECOND, a_trade, plain

pytestmark = pytest.mark.anyio


@pytest.fixture
def published(db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch) -> list[list[Candle]]:
    """Every announcement of forming candles, which goes out nevertheless."""
    heard: list[list[Candle]] = []
    publish = db.bus.publish

    async def overheard(*news: News) -> None:
        await publish(*news)
        heard.extend(item.candles for item in news if isinstance(item, FormingNews))

    monkeypatch.setattr(db.bus, "publish", overheard)
    return heard


async def test_a_corrected_candle_is_not_announced_as_forming_again(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1), a_trade(11, 6))
    published.clear()

    await market.add(a_trade(12, 4, "250"))

    assert published == []
    assert market.pipeline.forming(BTC) is None


async def test_a_quiet_market_makes_no_rows(db: DatabaseOperations, published: list[list[Candle]]) -> None:
    market = Market(db, "5s", "1m")
    await market.add(a_trade(9, -1), a_trade(10, 1))

    for second in range(0, 3600, 7):
        await market.tick(NOON + second * SECOND)

    assert await market.candles() == plain([a_trade(10, 1)], "5s")
    assert await market.candles("1m") == plain([a_trade(10, 1)], "1m")
    assert len(published) == 1
    assert market.holes == []


async def test_the_first_change_of_a_candle_is_announced_at_once(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1))

    await market.add(a_trade(10, 1))

    assert published == [plain([a_trade(10, 1)], "5s", is_final=False)]


async def test_further_changes_are_announced_every_quarter_of_a_second(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)
    trades = [a_trade(10, 1), a_trade(11, 2), a_trade(12, 3)]
    await market.add(a_trade(9, -1), trades[0])
    for trade in trades[1:]:
        market.seconds += 0.1
        await market.add(trade)
    await market.tick(NOON + 3 * SECOND)
    assert len(published) == 1

    market.seconds += 0.05
    await market.tick(NOON + 3 * SECOND)
    market.seconds += 1
    await market.tick(NOON + 3 * SECOND)

    assert published[1:] == [plain(trades, "5s", is_final=False)]


async def test_forming_candles_of_many_series_share_one_announcement(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db, "5s", "10s")
    symbols = ("BTC-USDT", "ETH-USDT")
    await market.add(*(a_trade(9, -1, symbol=symbol) for symbol in symbols))

    await market.add(*(a_trade(10, 1, symbol=symbol) for symbol in symbols))

    assert [{str(candle.series) for candle in told} for told in published] == [
        {f"okx {symbol} {timeframe}" for symbol in symbols for timeframe in ("5s", "10s")}
    ]


async def test_a_candle_joined_in_its_middle_is_neither_announced_nor_shown(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)

    await market.add(a_trade(10, 1))

    assert published == []
    assert market.pipeline.forming(BTC) is None


async def test_the_forming_candle_of_a_series_can_be_asked_for(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1), a_trade(11, 2, "3"))

    [expected] = plain([a_trade(10, 1), a_trade(11, 2, "3")], "5s", is_final=False)

    assert market.pipeline.forming(BTC) == expected
    assert market.pipeline.forming(BTC._replace(timeframe=Timeframe("1m"))) is None
    assert market.pipeline.forming(BTC._replace(symbol="ETH-USDT")) is None
