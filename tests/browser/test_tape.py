"""The trades of a market in a browser, of a server whose trades are known to the digit."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from repos.domain import TradeRecord
from tests.builders import NOON, a_candle, a_record

pytestmark = pytest.mark.anyio


def a_match(number: int, price: str, size: str) -> TradeRecord:
    at = NOON + timedelta(seconds=number)
    return a_record(symbol="ODD-USDT", trade_id=number, timestamp=at, price=price, size=size)


async def test_points_are_in_line_where_the_step_of_the_price_is_not_known(still, known):
    db = known[1]
    await db.market_data.upsert_candles([a_candle(symbol="ODD-USDT")])
    await db.tape.insert([a_match(1, "0.5", "1"), a_match(2, "0.000125", "20.25")])
    assert not await db.instruments.get_many([("okx", "ODD-USDT")])

    await still.goto("/#okx/ODD-USDT/1m")
    prices, sizes = (still.locator(f"#tape td:nth-child({column})") for column in (2, 3))
    await expect(prices).to_have_text(["0.000125", "0.500000"])
    await expect(sizes).to_have_text(["20.25", "1.00"])

    await db.tape.insert([a_match(3, "1200.00000001", "0.1")])
    await expect(prices).to_have_text(["1,200.00000001", "0.00012500", "0.50000000"])
    await expect(sizes).to_have_text(["0.10", "20.25", "1.00"])
