"""The dashboard in a browser: what moves by itself, what a hand does to it, and that it comes back."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, WebSocket, expect

pytestmark = pytest.mark.anyio

PRICE = re.compile(r"^[\d,]+\.\d+$")


@pytest.fixture
async def dashboard(page: Page) -> Page:
    """It shows the candles of 5 seconds of BTC-USDT."""
    await page.goto("/#okx/BTC-USDT/5s")
    await expect(page.locator("#price")).to_have_text(PRICE)
    return page


async def changes(place) -> None:
    """Return when it shows another text than now."""
    text = await place.inner_text()
    await expect(place).not_to_have_text(text, use_inner_text=True)


async def test_price_chart_trades_and_watch_list_move_by_themselves(dashboard):
    await changes(dashboard.locator("#price"))
    await changes(dashboard.locator("#legend"))
    await changes(dashboard.locator("#tape"))
    await changes(dashboard.locator("#watch"))


async def test_history_loads_as_one_scrolls_back(dashboard):
    def is_older(request) -> bool:
        asked = json.loads(request.post_data or "{}")
        return "query History" in asked.get("query", "") and asked["variables"].get("end") is not None

    await dashboard.locator("#chart").hover()
    async with dashboard.expect_response(lambda response: is_older(response.request)) as older:
        for _ in range(40):
            await dashboard.mouse.wheel(-1000, 0)

    answer = await (await older.value).json()
    assert answer["data"]["candleSeries"]["time"]


async def test_the_crosshair_tells_exact_values_of_a_candle_of_the_past(dashboard):
    newest = await dashboard.locator("#legend time").inner_text()
    box = await dashboard.locator("#chart").bounding_box()

    await dashboard.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)

    await expect(dashboard.locator("#legend time")).not_to_have_text(newest)
    for value in await dashboard.locator("#legend output").all():
        await expect(value).to_have_text(re.compile(r"^[\d,.]+$"))


async def test_another_market_is_found_by_keyboard_and_its_price_has_the_digits_of_its_tick(dashboard):
    await dashboard.keyboard.press("/")
    await dashboard.keyboard.type("shib")
    await expect(dashboard.locator("#found button").first).to_contain_text("SHIB-USDT")
    await dashboard.keyboard.press("Enter")

    await expect(dashboard.get_by_role("button", name="SHIB-USDT").first).to_be_visible()
    await expect(dashboard.locator("#price")).to_have_text(re.compile(r"^0\.0000\d{5}$"))
    assert "SHIB-USDT" in dashboard.url


async def test_timeframes_change_without_a_reload(dashboard):
    await dashboard.evaluate("globalThis.loaded = 'once'")

    await dashboard.get_by_role("group", name="Timeframe").get_by_role("button", name="1h").click()

    await expect(dashboard.get_by_role("button", name="1h")).to_have_attribute("aria-pressed", "true")
    await expect(dashboard.locator("#legend time")).to_contain_text(re.compile(r":00"))
    assert await dashboard.evaluate("globalThis.loaded") == "once"


async def create_bot(dashboard: Page, name: str, balance: str) -> None:
    await dashboard.get_by_role("button", name="New bot").click()
    for label, value in {
        "Name": name, "Strategy": "cross", "Market": "ETH-USDT", "Timeframe": "1m", "Balance": balance,
    }.items():  # fmt: skip
        await dashboard.get_by_role("dialog").get_by_label(label, exact=label == "Name").fill(value)
    await dashboard.get_by_role("button", name="Save").click()


async def test_a_bot_is_created_edited_started_paused_and_deleted(dashboard):
    await create_bot(dashboard, "Browser", "0.10")
    row = dashboard.locator("#bots tr", has_text="Browser")
    await expect(row).to_contain_text("0.1")

    await row.get_by_role("button", name="Edit").click()
    await dashboard.get_by_role("dialog").get_by_label("Name").fill("Browser again")
    await dashboard.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("Browser again")
    await row.get_by_role("button", name="Start").click()
    await expect(row.get_by_text("active", exact=True)).to_be_visible()
    await row.get_by_role("button", name="Heartbeat").click()
    await expect(row).to_contain_text("s ago")
    await row.get_by_role("button", name="Pause").click()
    await expect(row).to_contain_text("paused")

    await row.get_by_role("button", name="Delete").click()
    await dashboard.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)


async def test_a_name_that_is_taken_is_told_at_its_field(dashboard):
    await create_bot(dashboard, "Scalper", "1")

    await expect(dashboard.get_by_role("textbox", name="Name")).to_have_accessible_description("another bot has it")


async def test_a_server_that_dies_and_comes_back_leaves_no_hole(page, demo, complaints):
    heard: dict[str, dict[str, object]] = {}
    cursors: list[str] = []
    resumed: list[str | None] = []

    def follow(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: hear(json.loads(frame)))
        socket.on("framesent", lambda frame: said(json.loads(frame)))

    def hear(message) -> None:
        if event := (message.get("payload") or {}).get("data", {}).get("candles"):
            cursors.append(event["cursor"])
            if event["candle"] and event["candle"]["isFinal"]:
                heard[event["candle"]["startTime"]] = event["candle"]

    def said(message) -> None:
        if message["type"] == "subscribe" and "CandleEvents" in message["payload"]["query"]:
            resumed.append(message["payload"]["variables"]["after"])

    page.on("websocket", follow)
    await page.goto("/#okx/BTC-USDT/5s")
    async with asyncio.timeout(30):
        while not cursors:
            await asyncio.sleep(0.05)
    followed_since = datetime.now(UTC).isoformat()

    await demo.kill()
    try:
        await expect(page.locator("#connection")).to_have_text("reconnecting")
        last = cursors[-1]
    finally:
        await demo.start()
    await expect(page.locator("#connection")).to_have_text("connected")

    async def nothing_is_missing() -> bool:
        """All that began since then was heard as it is stored, of which some may still be recovered."""
        stored = await demo.candles(since=followed_since)
        return len(stored) > 1 and all(heard.get(candle["startTime"]) == candle for candle in stored)

    async with asyncio.timeout(60):
        while not await nothing_is_missing():
            await asyncio.sleep(0.5)
    assert resumed[-1] == last
    complaints.clear()  # of a server that was not there


async def test_everybody_can_use_it_in_the_light_and_in_the_dark(dashboard):
    for scheme in ("light", "dark"):
        await dashboard.emulate_media(color_scheme=scheme)
        found = await Axe().run(dashboard)
        assert found.violations_count == 0, found.generate_report()


async def test_nothing_has_to_be_scrolled_sideways_on_any_screen(dashboard):
    await expect(dashboard.locator("#bots")).to_contain_text("Scalper")

    for width, height in ((1440, 900), (1024, 768), (768, 1024), (390, 844)):
        await dashboard.set_viewport_size({"width": width, "height": height})
        for place in ("html", "#bots-panel .scroll", "#tape-panel .scroll", "#watch"):
            wide, seen = await dashboard.locator(place).evaluate("place => [place.scrollWidth, place.clientWidth]")
            assert wide <= seen, (width, place)

    found = await Axe().run(dashboard)
    assert found.violations_count == 0, found.generate_report()
