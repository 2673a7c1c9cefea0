"""The watch list in a browser: a line for each market, loaded once, and how its price changed in a day."""

from datetime import timedelta

import pytest
from playwright.async_api import Page, Route, expect

from repos.domain import Candle
from tests.browser.stored import NEWEST
from tests.browser.views import frame
from tests.builders import a_candle

pytestmark = pytest.mark.anyio

QUARTER = timedelta(minutes=15)
LAST = NEWEST.replace(minute=0)


def quarters(symbol: str, first: int, last: int = 0) -> list[Candle]:
    """From so many quarters of an hour before the newest to so many: each closes at 200 less its number."""
    return [
        a_candle(symbol=symbol, timeframe="15m", start_time=LAST - n * QUARTER, open=200 - n, close=200 - n)
        for n in range(first, last - 1, -1)
    ]  # fmt: skip


async def watching(page: Page, *symbols: str) -> list[str]:
    """Open it as if these were collected, and return what it asks of their lines: the list grows."""

    async def as_collected(route: Route) -> None:
        if "query Markets" not in (route.request.post_data or ""):
            await route.continue_()
            return
        answer = await (await route.fetch()).json()
        for market in answer["data"]["markets"]:
            market["isCollected"] = market["symbol"] in symbols
        await route.fulfill(json=answer)

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    await page.route("**/graphql", as_collected)
    await page.goto("/#okx/BTC-USDT/1m")
    await expect(page.locator("#watch button")).to_have_count(len(symbols))
    return asked


def lines(asked: list[str]) -> list[str]:
    return [text for text in asked if "query History" in text and '"timeframe":"15m"' in text]


async def looks_again(page: Page) -> None:
    """Return when it has asked once more what there is, as it does every 15 s."""
    async with page.expect_response(lambda response: "query Markets" in (response.request.post_data or "")):
        await page.clock.run_for(15_000)
    await page.wait_for_load_state("networkidle")
    await frame(page)


async def test_each_line_is_loaded_once_although_the_clock_is_an_hour_behind(still, known):
    db = known[1]
    await db.market_data.upsert_candles(
        [*quarters("DAY-USDT", 96), *quarters("YOUNG-USDT", 9), *quarters("ONE-USDT", 0)]
    )
    await still.clock.install(time=LAST - timedelta(hours=1))
    asked = await watching(still, "DAY-USDT", "YOUNG-USDT", "ONE-USDT")
    await expect(still.locator("#watch button", has_text="DAY-USDT")).to_contain_text("%")
    await still.wait_for_load_state("networkidle")
    assert len(lines(asked)) == 3

    for _ in range(3):
        await looks_again(still)

    assert len(lines(asked)) == 3


async def test_the_change_is_that_of_a_day_and_none_is_told_before_a_day_is_there(still, known):
    db = known[1]
    await db.market_data.upsert_candles([*quarters("LOADED-USDT", 40), *quarters("SINGLE-USDT", 0)])
    await still.clock.install(time=LAST)
    await watching(still, "LOADED-USDT", "SINGLE-USDT")
    loaded, single = (still.locator("#watch button", has_text=symbol) for symbol in ("LOADED-USDT", "SINGLE-USDT"))
    await expect(loaded).to_contain_text("200")
    await expect(single).to_contain_text("200")
    await looks_again(still)
    assert "%" not in await loaded.inner_text() + await single.inner_text()

    await db.market_data.upsert_candles(quarters("LOADED-USDT", 99, 41))
    await looks_again(still)

    # From 104, which was the close of 96 quarters before.
    await expect(loaded).to_contain_text("+92.31%")
    assert "%" not in await single.inner_text()


async def test_a_day_of_which_the_beginning_was_missed_has_no_change(still, known):
    db = known[1]
    await db.market_data.upsert_candles([*quarters("HOLE-USDT", 190, 120), *quarters("HOLE-USDT", 40)])
    asked = await watching(still, "HOLE-USDT")
    await expect(still.locator("#watch button")).to_contain_text("200")
    await still.wait_for_load_state("networkidle")
    await frame(still)

    assert len(lines(asked)) == 1
    assert "%" not in await still.locator("#watch button").inner_text()
