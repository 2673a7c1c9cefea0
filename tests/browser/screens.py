"""The pictures of the manual, of a demo that runs meanwhile: python -m tests.browser.screens"""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.demo import a_demo

FOLDER = Path(__file__).parent.parent.parent / "docs" / "screens"
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        async with a_demo("--no-collect") as empty:
            page = await browser.new_page(viewport=WIDE)
            await page.goto(empty.url)
            await expect(page.locator("#bots")).to_contain_text("No bots")
            await expect(page.locator("#chart-message")).to_contain_text("Nothing is stored")
            await taken(page, "empty")
        async with a_demo() as demo:
            await settled(await dashboard(browser, demo.url, "light", WIDE))
            for name, scheme, size in (("light", "light", WIDE), ("dark", "dark", WIDE), ("phone", "dark", PHONE)):
                await taken(await dashboard(browser, demo.url, scheme, size), name)
            page = await browser.new_page(viewport=WIDE)
            await page.goto(f"{demo.url}/graphql")
            await page.get_by_role("button", name="Execute query").click()
            await page.get_by_role("menuitem", name="Candles", exact=True).click()
            await expect(page.locator(".graphiql-response")).to_contain_text("tradeCount")
            await taken(page, "graphiql")
            page = await dashboard(browser, demo.url, "dark", WIDE)
            await demo.kill()
            await expect(page.locator("#connection")).to_have_text("reconnecting")
            await taken(page, "reconnecting")
        await browser.close()


async def dashboard(browser: Browser, url: str, scheme: str, size: dict[str, int]) -> Page:
    """It has candles, and trades that came while it was open."""
    page = await browser.new_page(viewport=size, color_scheme=scheme)
    await page.goto(f"{url}/#okx/BTC-USDT/1m")
    await expect(page.locator("#price")).not_to_be_empty()
    await expect(page.locator("#lag")).not_to_be_empty()
    await expect(page.locator("#tape tr:nth-child(40)")).to_be_attached()
    await page.wait_for_load_state("networkidle")  # the lines of the watch list, too
    return page


async def settled(page: Page) -> None:
    """The demo has loaded its day of history, and its first bot gave a sign of life."""
    await expect(page.locator("#gaps")).to_have_text("no gaps", timeout=120_000)
    await expect(page.locator("#bots")).to_contain_text("s ago", timeout=120_000)
    await page.close()


async def taken(page: Page, name: str) -> None:
    await page.screenshot(path=FOLDER / f"{name}.png")
    await page.close()


if __name__ == "__main__":
    asyncio.run(main())
