"""Finding a market in a browser, and what the page says while its prices move."""

import re

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.anyio

CHANGES = """seconds => new Promise(done => {
    let count = 0
    const seen = new MutationObserver(changes => count += changes.length)
    const isLive = place => place.getAttribute('aria-live') !== 'off'
    const live = [...document.querySelectorAll('[role=status], [role=alert], [role=log], [aria-live], output')]
    for (const place of live.filter(isLive)) {
        seen.observe(place, { childList: true, characterData: true, subtree: true })
    }
    setTimeout(() => done(count), seconds * 1000)
})"""


async def test_markets_are_found_however_they_are_written(page):
    await page.goto("/#okx/ETH-USDT/1m")
    await page.keyboard.press("/")
    for wanted in ("btcusdt", "BTC/USDT", "btc usdt", "Btc_Usdt"):
        await page.get_by_role("searchbox").fill("nothing at all")
        await expect(page.locator("#found button")).to_have_count(0)
        await page.get_by_role("searchbox").fill(wanted)
        await expect(page.locator("#found button").first).to_contain_text("BTC-USDT")


async def test_the_title_never_has_the_price_of_another_market(page):
    await page.goto("/#okx/BTC-USDT/1m")
    await expect(page).to_have_title(re.compile(r"[\d,.]+ BTC-USDT"))
    await page.route("**/graphql", lambda _: None)  # nothing is answered from now on

    await page.evaluate("location.hash = 'okx/SHIB-USDT/1m'")

    await expect(page).to_have_title(re.compile(r"^(\(\d+\) )?SHIB-USDT · candleql$"))


async def test_live_regions_are_quiet_while_prices_move(page):
    await page.goto("/#okx/BTC-USDT/5s")
    await expect(page.locator("#connection")).to_have_text("connected")
    await expect(page.locator("#price")).not_to_be_empty()

    assert await page.evaluate(CHANGES, 10) <= 3
