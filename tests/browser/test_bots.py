"""The panel of bots in a browser, and the dialog in which one is made and edited."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.browser.views import at_minutes, frame

pytestmark = pytest.mark.anyio


async def test_bots_in_trouble_come_first_and_are_counted_in_head_and_title(still, known):
    db = known[1]
    made = [
        await db.bots.add({"name": name, "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"})
        for name in ("First", "Second", "Broken")
    ]
    await db.bots.update(made[2].id, {"status": "error"})
    try:
        await at_minutes(still)

        await expect(still.locator("#bots tr").first).to_contain_text("Broken")
        await expect(still.locator("#bots-trouble")).to_have_text("1 failed")
        await expect(still).to_have_title(re.compile(r"^\(1\) "))
        before = (await still.locator("#bots-panel").bounding_box())["height"]
        await still.get_by_role("separator", name="Height of the bots").focus()
        await still.keyboard.press("ArrowUp")
        await frame(still)
        assert (await still.locator("#bots-panel").bounding_box())["height"] > before + 10
    finally:
        for bot in made:
            await db.bots.delete(bot.id)


async def test_a_stale_bot_comes_before_the_well_and_is_counted_beside_the_failed(still, known):
    db = known[1]
    ago = datetime.now(UTC) - timedelta(days=1)
    made = [
        await db.bots.add(
            {"name": name, "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m", "status": status}
        )
        for name, status in (("Well", "paused"), ("Silent", "active"), ("Broken", "error"))
    ]
    await db.bots.update(made[1].id, {"last_heartbeat": ago})
    try:
        await at_minutes(still)

        names = still.locator("#bots tr td:first-child")
        await expect(names).to_have_text(["Silent", "Broken", "Well"])
        await expect(still.locator("#bots tr").first).to_contain_text("24 h ago stale")
        await expect(still.locator("#bots-trouble")).to_have_text("1 failed, 1 stale")
        await expect(still).to_have_title(re.compile(r"^\(2\) "))

        await still.get_by_role("button", name="Heartbeat Silent").click()
        await expect(names).to_have_text(["Broken", "Well", "Silent"])
        await expect(still.locator("#bots-trouble")).to_have_text("1 failed")
        await expect(still).to_have_title(re.compile(r"^\(1\) "))
    finally:
        for bot in made:
            await db.bots.delete(bot.id)


async def test_a_long_name_and_balance_leave_the_table_in_its_panel(still, known):
    db = known[1]
    name, balance = "n" * 128, "1" * 30
    bot = await db.bots.add(
        {"name": name, "strategy_name": "s" * 128, "symbol": "BTC-USDT", "timeframe": "1m", "virtual_balance": balance}
    )  # fmt: skip
    try:
        await at_minutes(still)
        await expect(still.get_by_title(name, exact=True)).to_be_visible()
        for width in (1440, 1024, 390):
            await still.set_viewport_size({"width": width, "height": 900})
            wide, seen = await still.locator("#bots-panel .scroll").evaluate("at => [at.scrollWidth, at.clientWidth]")
            assert wide <= seen, width
    finally:
        await db.bots.delete(bot.id)


async def test_whole_numbers_of_settings_are_kept_to_the_digit(still, known):
    db = known[1]
    bot = await db.bots.add(
        {"name": "Exact", "strategy_name": "s", "symbol": "X-Y", "timeframe": "1m", "config": {"big": 2**60 + 1}}
    )  # fmt: skip
    try:
        await at_minutes(still)
        await still.get_by_role("button", name="Edit Exact").click()
        settings = still.get_by_label("Settings, as JSON")
        assert str(2**60 + 1) in await settings.input_value()
        await settings.fill(f'{{"big": {2**60 + 1}, "other": {2**61 + 1}}}')
        await still.get_by_role("button", name="Save").click()
        await expect(still.locator("#bot-dialog")).to_be_hidden()
        kept = await db.bots.get_by_id(bot.id)
        assert kept.config == {"big": 2**60 + 1, "other": 2**61 + 1}
    finally:
        await db.bots.delete(bot.id)


async def test_a_balance_below_zero_is_refused_at_its_field(page):
    await page.goto("/#okx/BTC-USDT/1m")
    await bot_of(page, "BTC-USDT", "-1")

    await expect(page.get_by_role("dialog").get_by_label("Balance")).to_have_accessible_description(
        re.compile("at least 0")
    )


async def bot_of(page: Page, symbol: str, balance: str) -> None:
    await page.get_by_role("button", name="New bot").click()
    dialog = page.get_by_role("dialog")
    values = {"Name": "Odd", "Strategy": "cross", "Market": symbol, "Timeframe": "1m", "Balance": balance}
    for label, value in values.items():
        await dialog.get_by_label(label, exact=label == "Name").fill(value)
    await page.get_by_role("button", name="Save").click()


async def test_a_market_that_nobody_knows_is_asked_about_before_it_is_kept(page):
    await page.goto("/#okx/BTC-USDT/1m")
    await bot_of(page, "NOTHING-AT-ALL", "1")
    market = page.get_by_role("dialog").get_by_label("Market")
    await expect(market).to_have_accessible_description(re.compile("has no market NOTHING-AT-ALL"))

    await page.get_by_role("button", name="Save").click()
    row = page.locator("#bots tr", has_text="Odd")
    await expect(row).to_contain_text("NOTHING-AT-ALL")
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)
