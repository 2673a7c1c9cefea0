"""The chart in a browser, of candles that are known to the digit: keys, clocks, history, gaps, and nothing to show."""

import asyncio
import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, Route, expect

from repos.domain import Origin
from tests.browser.stored import MINUTE, NEWEST, a_gap, a_minute

pytestmark = pytest.mark.anyio

FIRST_PAGE = 1_000
"""Candles that are loaded to begin with."""
SHADED = """() => {
    // The colour of --gap on --panel, in the light.
    const isShaded = (data, at) => [248, 238, 217].every((value, part) => Math.abs(data[at + part] - value) < 3)
    let count = 0
    for (const canvas of document.querySelectorAll('#chart canvas')) {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        for (let at = 0; at < data.length; at += 4) if (isShaded(data, at)) count++
    }
    return count
}"""


def printed(moment: datetime, zone: str = "America/New_York") -> str:
    there = moment.astimezone(ZoneInfo(zone))
    return f"{there.day} {there:%b %Y %H:%M}"


@pytest.fixture
async def chart(still: Page) -> Page:
    """It shows the newest minutes, and has the focus."""
    await still.goto("/#okx/BTC-USDT/1m")
    await expect(still.locator("#legend time")).to_have_text(printed(NEWEST))
    await still.locator("#chart").focus()
    return still


async def reads(chart: Page, before: int) -> None:
    """Return when the legend says all of the candle so many minutes before the newest."""
    candle = a_minute(before)
    await expect(chart.locator("#legend time")).to_have_text(printed(candle.start_time))
    prices = [f"{price:.3f}" for price in (candle.open, candle.high, candle.low, candle.close)]
    await expect(chart.locator("#legend output")).to_have_text([*prices, f"{candle.volume:,}"])


async def read_before(chart: Page) -> int:
    """How many minutes before the newest the candle is that the legend tells of."""
    there = datetime.strptime(await chart.locator("#legend time").inner_text(), "%d %b %Y %H:%M")  # noqa: DTZ007
    return (NEWEST - there.replace(tzinfo=ZoneInfo("America/New_York"))) // MINUTE


async def test_arrows_read_candles_one_by_one_and_end_returns_to_the_newest(chart):
    for before in (1, 2, 3):
        await chart.keyboard.press("ArrowLeft")
        await reads(chart, before)
    await chart.keyboard.press("ArrowRight")
    await reads(chart, 2)

    await chart.keyboard.press("End")
    await reads(chart, 0)


async def test_page_up_moves_to_the_past_and_end_comes_back(chart):
    to_now = chart.get_by_role("button", name="To now")
    await expect(to_now).to_be_hidden()

    await chart.keyboard.press("PageUp")
    await expect(to_now).to_be_visible()
    await chart.keyboard.press("PageDown")
    await expect(to_now).to_be_hidden()
    await chart.keyboard.press("PageUp")
    await chart.keyboard.press("End")
    await expect(to_now).to_be_hidden()


async def test_plus_shows_fewer_candles_and_minus_more(chart):
    async def leftmost() -> int:
        box = await chart.locator("#chart").bounding_box()
        await chart.mouse.move(box["x"] + 300, box["y"] + 300)
        await chart.mouse.move(box["x"] + 5, box["y"] + 300)
        await expect(chart.locator("#legend time")).not_to_have_text(printed(NEWEST))
        await frame(chart)
        return await read_before(chart)

    first = await leftmost()
    await chart.keyboard.press("+")
    nearer = await leftmost()
    await chart.keyboard.press("-")

    assert nearer < 0.9 * first
    assert abs(await leftmost() - first) <= 2


async def frame(page: Page) -> None:
    """Return when what was changed is drawn."""
    await page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def test_utc_is_shown_on_demand_and_remembered(chart):
    await chart.get_by_role("button", name="America/New_York").click()
    await expect(chart.locator("#legend time")).to_have_text(printed(NEWEST, "UTC"))

    await chart.reload()
    await expect(chart.locator("#legend time")).to_have_text(printed(NEWEST, "UTC"))
    await chart.get_by_role("button", name="UTC").click()
    await expect(chart.locator("#legend time")).to_have_text(printed(NEWEST))


async def test_history_that_loads_leaves_the_view_where_it_was(chart):
    asked, let = asyncio.Event(), asyncio.Event()

    async def wait(route: Route) -> None:
        if json.loads(route.request.post_data)["variables"].get("end") and "History" in route.request.post_data:
            asked.set()
            await let.wait()
        await route.continue_()

    await chart.route("**/graphql", wait)
    box = await chart.locator("#chart").bounding_box()
    for _ in range(20):  # to where it is nearly at the end of what is loaded
        if asked.is_set():
            break
        await chart.keyboard.press("PageUp")
        await frame(chart)
    async with asyncio.timeout(20):
        await asked.wait()
    await chart.mouse.move(box["x"] + 600, box["y"] + 300)
    await frame(chart)
    here = await read_before(chart)
    assert 0 < here < FIRST_PAGE

    async with chart.expect_response(lambda response: "History" in (response.request.post_data or "")):
        let.set()
    for _ in range(3):
        await frame(chart)
        await chart.mouse.move(box["x"] + 600, box["y"] + 310)
    assert await read_before(chart) == here

    async with asyncio.timeout(20):
        while await read_before(chart) <= FIRST_PAGE:
            await chart.keyboard.press("PageUp")
            await chart.mouse.move(box["x"] + 600, box["y"] + 300)
            await frame(chart)


async def shading(chart: Page, is_there: bool) -> None:
    """Return when something is shaded, or nothing is."""
    async with asyncio.timeout(20):
        while (await chart.evaluate(SHADED) > 0) != is_there:
            await frame(chart)


async def test_a_gap_is_marked_until_it_is_recovered(chart, known):
    db = known[1]
    gap = a_gap(8, 5)
    await shading(chart, is_there=False)

    await db.gaps.add(gap)
    await db.gaps.leave_open(gap, gap)
    for _ in range(6):
        await chart.keyboard.press("ArrowLeft")
    await expect(chart.locator("#legend")).to_contain_text("trades are missing here")
    await chart.keyboard.press("End")
    await shading(chart, is_there=True)

    await db.market_data.upsert_candles(
        [a_minute(before, Origin.TRADES) for before in range(5, 9)], force_update=True
    )  # fmt: skip
    await db.gaps.close(gap)
    for _ in range(6):
        await chart.keyboard.press("ArrowLeft")
    await expect(chart.locator("#legend")).to_contain_text("3 trades")
    await chart.keyboard.press("End")
    await shading(chart, is_there=False)


async def test_a_market_that_nothing_is_known_of_says_where_candles_come_from(still):
    await still.goto("/#okx/NOTHING-USDT/1m")

    await expect(still.locator("#chart-message")).to_contain_text("candleql backfill NOTHING-USDT -t 1m")


async def test_a_timeframe_that_is_none_is_said_to_be_none(still):
    await still.goto("/#okx/BTC-USDT/7x")

    await expect(still.locator("#chart-message")).to_contain_text("7x")
    await still.get_by_role("button", name="1m").click()
    await expect(still.locator("#legend time")).to_have_text(printed(NEWEST))


async def test_a_server_that_is_away_at_first_is_waited_for(still, complaints):
    await still.route("**/graphql", lambda route: route.abort())
    await still.goto("/#okx/BTC-USDT/1m")
    await expect(still.locator("#chart-message")).to_contain_text("candleql serve")

    await still.unroute("**/graphql")
    await expect(still.locator("#legend time")).to_have_text(printed(NEWEST))
    complaints.clear()  # of a server that was not there
