"""The dashboard in a browser that is 390 px wide and has no mouse."""

from dataclasses import replace

import pytest
from playwright.async_api import expect

from repos.domain import Timeframe
from tests.browser.conftest import a_page
from tests.browser.stored import NEWEST, a_minute
from tests.browser.views import frame

pytestmark = pytest.mark.anyio

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


async def test_a_bot_is_created_started_and_deleted_with_a_thumb(browser, demo, complaints):
    async with a_page(browser, demo.url, complaints, **PHONE) as page:
        await page.goto("/#okx/BTC-USDT/1m")
        await expect(page.locator("#price")).not_to_be_empty()
        await page.get_by_role("button", name="New bot").tap()
        dialog = page.get_by_role("dialog", name="New bot")
        await dialog.get_by_label("Name", exact=True).fill("Thumb")
        await dialog.get_by_label("Strategy").fill("cross")
        await dialog.get_by_label("Balance").fill("1000")
        save = dialog.get_by_role("button", name="Save")
        await expect(save).to_be_in_viewport(ratio=1)
        await save.tap()

        row = page.locator("#bots tr", has_text="Thumb")
        await expect(row).to_contain_text("inactive")
        await row.get_by_role("button", name="Start").tap()
        await expect(row.get_by_role("button", name="Pause")).to_be_visible()
        for action in await row.get_by_role("button").all():
            await action.scroll_into_view_if_needed()
            await expect(action).to_be_in_viewport(ratio=1)
        await row.get_by_role("button", name="Delete").tap()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").tap()
        await expect(row).to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_ten_timeframes_fit_a_phone_and_a_thumb_on_the_chart_scrolls_the_page(browser, known, complaints):
    server, db = known
    timeframes = ("5s", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d")
    midnight = NEWEST.replace(hour=0, minute=0)
    await db.market_data.upsert_candles(
        [
            replace(a_minute(0), timeframe=length, start_time=midnight, end_time=length.end(midnight))
            for length in map(Timeframe, timeframes)
        ]
    )
    async with a_page(browser, server.url, complaints, **PHONE) as page:
        await page.goto("/#okx/BTC-USDT/1m")
        await expect(page.locator("#timeframes button")).to_have_count(10)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        for button in await page.locator("#timeframes button").all():
            await expect(button).to_be_in_viewport(ratio=1)
        box = await page.locator("#chart").bounding_box()
        client = await page.context.new_cdp_session(page)
        # Each move by itself: a swipe that the browser synthesizes may come without any.
        finger = box["y"] + box["height"] * 0.7
        await client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 150, "y": finger}]})
        for moved in range(20, 220, 20):
            points = [{"x": 150, "y": finger - moved}]
            await client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
        await client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        await frame(page)
        assert await page.evaluate("scrollY") > 100
