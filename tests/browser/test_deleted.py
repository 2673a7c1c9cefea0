"""Candles that are deleted under an open dashboard: they leave the chart and the watch list, and later ones go on."""

import asyncio
from dataclasses import replace
from datetime import datetime

import httpx2
import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.demo import Demo
from tests.browser.stored import MINUTE, NEWEST, a_minute
from tests.browser.test_chart import FIRST_PAGE, reads
from tests.browser.test_watch import LAST, QUARTER, quarters, watching
from tests.browser.views import frame, printed, read_before
from tests.builders import a_candle

pytestmark = pytest.mark.anyio

DELETE = """mutation ($symbol: String!, $timeframe: Timeframe!, $start: DateTime!, $end: DateTime!) {
  deleteCandles(symbol: $symbol, timeframe: $timeframe, start: $start, end: $end) { deletedCount } }"""
LINE = "() => document.querySelector('#watch canvas').toDataURL()"


async def delete(demo: Demo, symbol: str, start: datetime, end: datetime, timeframe: str = "1m") -> int:
    """Have the API delete the candles that start in [start, end); how many there were."""
    variables = {"symbol": symbol, "timeframe": timeframe, "start": start.isoformat(), "end": end.isoformat()}
    async with httpx2.AsyncClient(base_url=demo.url, timeout=60) as http:
        answer = (await http.post("/graphql", json={"query": DELETE, "variables": variables})).json()
    return int(answer["data"]["deleteCandles"]["deletedCount"])


async def delete_minutes(demo: Demo, symbol: str, first: int, last: int) -> None:
    """The minutes from `first` to `last`, both included, counted before the newest."""
    count = await delete(demo, symbol, NEWEST - first * MINUTE, NEWEST - (last - 1) * MINUTE)
    assert count == first - last + 1


async def shown(page: Page, known, symbol: str, count: int) -> Page:
    """A chart of so many minutes, which has the focus and would tell if it was loaded anew."""
    await known[1].market_data.upsert_candles([replace(a_minute(before), symbol=symbol) for before in range(count)])
    await page.goto(f"/#okx/{symbol}/1m")
    await reads(page, 0)
    await page.locator("#chart").focus()
    await page.evaluate("globalThis.loaded = 'once'")
    return page


async def test_bars_that_are_deleted_leave_the_chart_and_later_candles_go_on(still, known):
    demo, db = known
    chart = await shown(still, known, "GONE-USDT", 30)

    await delete_minutes(demo, "GONE-USDT", 5, 3)
    async with asyncio.timeout(30):
        while await read_before(chart) != 6:  # the fourth that is left
            await chart.keyboard.press("End")
            for _ in range(3):
                await chart.keyboard.press("ArrowLeft")
            await frame(chart)
    await reads(chart, 6)
    await chart.keyboard.press("ArrowRight")
    await reads(chart, 2)
    await chart.keyboard.press("End")
    await expect(chart.locator("#price")).to_have_text("101.000")

    await delete_minutes(demo, "GONE-USDT", 0, 0)
    await reads(chart, 1)
    await expect(chart.locator("#price")).to_have_text("102.000")
    await expect(chart).to_have_title("102.000 GONE-USDT · candleql")

    later = a_candle(symbol="GONE-USDT", start_time=NEWEST + MINUTE, volume=77)
    await db.market_data.upsert_candle(later)
    await expect(chart.locator("#legend time")).to_have_text(printed(later.start_time))
    await expect(chart.locator("#legend output").last).to_have_text("77")
    await chart.keyboard.press("ArrowLeft")
    await reads(chart, 1)
    assert await chart.evaluate("globalThis.loaded") == "once"


async def test_older_candles_are_shown_when_all_that_were_loaded_are_deleted(still, known):
    demo, db = known
    chart = await shown(still, known, "ALL-USDT", 2_500)

    await delete_minutes(demo, "ALL-USDT", FIRST_PAGE + 99, 0)
    await reads(chart, FIRST_PAGE + 100)
    await expect(chart.locator("#price")).not_to_be_empty()

    await delete_minutes(demo, "ALL-USDT", 2_499, FIRST_PAGE + 100)
    await expect(chart.locator("#chart-message")).to_contain_text("No candles of ALL-USDT 1m yet")
    await expect(chart.locator("#price")).to_be_empty()
    await expect(chart).to_have_title("ALL-USDT · candleql")

    await db.market_data.upsert_candle(replace(a_minute(0), symbol="ALL-USDT"))
    await reads(chart, 0)
    assert await chart.evaluate("globalThis.loaded") == "once"


async def test_a_page_of_before_a_deletion_brings_nothing_of_it_back(still, known):
    demo, db = known
    read, let = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        text = route.request.post_data or ""
        if "query History" not in text or '"end"' not in text or let.is_set():
            await route.continue_()
            return
        answer = await route.fetch()
        read.set()
        await let.wait()
        await route.fulfill(response=answer)

    chart = await shown(still, known, "LATE-USDT", 2_500)
    await chart.route("**/graphql", late)
    async with asyncio.timeout(30):
        while not read.is_set():
            await chart.keyboard.press("PageUp")
            await frame(chart)
    await chart.keyboard.press("End")
    await delete_minutes(demo, "LATE-USDT", 1_399, 1_100)
    written = replace(a_minute(1_250), symbol="LATE-USDT")
    await db.market_data.upsert_candle(written)
    await delete_minutes(demo, "LATE-USDT", 0, 0)
    await reads(chart, 1)  # so that what was before is heard

    let.set()
    box = await chart.locator("#chart").bounding_box()
    seen: set[int] = set()
    async with asyncio.timeout(120):
        while max(seen, default=0) < 1_450:
            await chart.keyboard.press("PageUp")
            for x in range(40, int(box["width"]) - 120, 16):
                await chart.mouse.move(box["x"] + x, box["y"] + 300)
                await frame(chart)
                seen.add(await read_before(chart))

    assert {before for before in seen if 1_100 <= before < 1_400} <= {1_250}
    assert {before for before in seen if 1_000 <= before < 1_100}


async def test_a_price_that_is_deleted_leaves_the_watch_list(still, known):
    demo, db = known
    symbol = "SPIKE-USDT"
    await db.market_data.upsert_candles(quarters(symbol, 96))
    await still.clock.install(time=LAST)
    await watching(still, symbol)
    row = still.locator("#watch button")
    await expect(row).to_contain_text("+92.31%")
    await still.wait_for_load_state("networkidle")
    await frame(still)
    line = await still.evaluate(LINE)

    start = LAST + QUARTER
    await db.market_data.upsert_candle(a_candle(symbol=symbol, timeframe="15m", start_time=start, open=900, close=900))
    await expect(row).to_contain_text("900")
    assert await delete(demo, symbol, start, start + QUARTER, "15m") == 1

    await expect(row).to_contain_text("+92.31%")
    await expect(row).to_contain_text("200")
    await expect(row).not_to_contain_text("900")
    async with asyncio.timeout(30):
        while await still.evaluate(LINE) != line:
            await frame(still)
