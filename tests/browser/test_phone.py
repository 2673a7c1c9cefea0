"""The dashboard in a browser that is 390 px wide and has no mouse."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import a_page

pytestmark = pytest.mark.anyio


async def test_a_bot_is_created_started_and_deleted_with_a_thumb(browser, demo, complaints):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    async with a_page(browser, demo.url, complaints, **phone) as page:
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
