"""The chart in a browser, of candles that are known to the digit: keys, clocks, history, gaps, and nothing to show."""

import asyncio
import json
import re
from dataclasses import replace

import pytest
from playwright.async_api import Page, Route, expect

from repos.domain import Candle, Origin
from tests.browser.stored import COUNT, NEWEST, a_gap, a_minute
from tests.browser.views import at_minutes, frame, printed, read_before

pytestmark = pytest.mark.anyio

FIRST_PAGE = 1_000
"""Candles that are loaded to begin with."""
CENTRE = """() => {
    const canvas = document.querySelector('#chart canvas')
    return [...canvas.getContext('2d').getImageData(5, 5, 1, 1).data].slice(0, 3)
}"""
DRAWN = """
    window.drawn = []
    const draw = CanvasRenderingContext2D.prototype.fillText
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        drawn.push(text)
        return draw.call(this, text, ...place)
    }
"""
"""Keeps every text that a canvas is given."""
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


async def test_utc_is_shown_on_demand_and_remembered(chart):
    await chart.get_by_role("button", name="America/New_York").click()
    await expect(chart.locator("#legend time")).to_have_text(printed(NEWEST, "UTC"))

    await chart.reload()
    await expect(chart.locator("#legend time")).to_have_text(printed(NEWEST, "UTC"))
    await chart.get_by_role("button", name="UTC").click()
    await expect(chart.locator("#legend time")).to_have_text(printed(NEWEST))


@pytest.fixture
async def under_the_mouse(chart):
    """Moves it there, and tells how many minutes before the newest the candle below it is."""
    box = await chart.locator("#chart").bounding_box()

    async def read(x: int) -> int:
        await chart.mouse.move(box["x"] + x, box["y"] + 300)
        await chart.mouse.move(box["x"] + x, box["y"] + 310)
        await frame(chart)
        return await read_before(chart)

    return read


async def test_what_is_dragged_stays_under_the_mouse_however_far(chart, under_the_mouse):
    for _ in range(6):
        await chart.keyboard.press("-")
        await frame(chart)
    place = 0
    async with asyncio.timeout(60):
        while place < 8_000:
            place = await under_the_mouse(100)
            await chart.mouse.down()
            for x in (106, 300, 500, 700, 950):  # It is held from 6 pixels on.
                await under_the_mouse(x)
            while abs(await under_the_mouse(950) - place) > 5:  # What is older is being loaded.
                pass
            await chart.mouse.up()
            await frame(chart)
            assert abs(await under_the_mouse(950) - place) <= 5


async def test_years_are_walked_through_evenly_and_back(chart, under_the_mouse):
    for _ in range(3):
        await chart.keyboard.press("-")
    await frame(chart)
    place, step = await under_the_mouse(400), 0
    async with asyncio.timeout(60):
        while place < COUNT - 2_000:
            await chart.keyboard.press("PageUp")
            moved = await under_the_mouse(400)
            step = step or moved - place
            # It waits where what is older is being loaded, and what is moved may be told a frame later.
            assert place <= moved <= place + 2 * step + 1
            place = moved
    while place > step:
        await chart.keyboard.press("PageDown")
        moved = await under_the_mouse(400)
        assert abs(place - step - moved) <= 1
        place = moved

    await chart.keyboard.press("End")
    await chart.keyboard.press("ArrowLeft")
    await reads(chart, 1)


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
    await expect(still.locator("#chart-message")).to_contain_text("Nobody collects NOTHING-USDT 1m", timeout=20_000)
    await expect(still.locator("#tape-message")).to_have_text("Nobody collects the trades of NOTHING-USDT.")
    await expect(still.locator("#watch")).to_have_text(
        "Nothing is collected. Name pairs in okx_config.json and start “candleql collect”."
    )


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


async def test_the_chart_is_dark_in_the_dark_before_there_are_data(still, complaints):
    await still.emulate_media(color_scheme="dark")
    await still.route("**/graphql", lambda route: route.abort())
    await still.goto("/#okx/BTC-USDT/1m")
    await expect(still.locator("#chart-message")).to_contain_text("candleql serve")

    assert await still.evaluate(CENTRE) == [0x12, 0x16, 0x1C]
    complaints.clear()  # of a server that was not there


async def test_page_up_stops_at_the_oldest_candle(still):
    await at_minutes(still)
    await still.get_by_role("button", name="1m").click()
    await still.locator("#chart").focus()
    box = await still.locator("#chart").bounding_box()
    for _ in range(60):
        await still.keyboard.press("PageUp")
        await frame(still)

    await still.mouse.move(box["x"] + 40, box["y"] + 300)
    await frame(still)
    assert await read_before(still) > 2_400  # of 2,500: the oldest is at the left edge, not beyond the right one


async def test_prices_below_a_millionth_of_a_millionth_have_their_digits(still, known):
    db = known[1]
    await db.market_data.upsert_candles([tiny(a_minute(before)) for before in range(30)])
    await still.add_init_script(DRAWN)
    await still.goto("/#okx/TINY-USDT/1m")

    await expect(still.locator("#legend output").first).to_have_text(re.compile(r"^0\.0{14}1"))
    await frame(still)
    prices = {text for text in await still.evaluate("drawn") if text.startswith("0.")}
    assert len(prices) > 3  # of the axis: one for each line of its grid
    assert not [text for text in prices if not re.match(r"0\.0{14,15}[1-9]", text)]


def tiny(candle: Candle) -> Candle:
    """One whose prices are about 1e-15."""
    prices = {name: getattr(candle, name).scaleb(-17) for name in ("open", "high", "low", "close")}
    return replace(candle, symbol="TINY-USDT", **prices)
