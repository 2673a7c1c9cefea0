"""What tests of the dashboard ask of a page."""

from datetime import datetime
from zoneinfo import ZoneInfo

from playwright.async_api import Page, expect

from tests.browser.stored import MINUTE, NEWEST


def printed(moment: datetime, zone: str = "America/New_York") -> str:
    there = moment.astimezone(ZoneInfo(zone))
    return f"{there.day} {there:%b %Y %H:%M}"


async def at_minutes(page: Page) -> None:
    """Return when it shows the minutes of what is known."""
    await page.goto("/#okx/BTC-USDT/1m")
    await expect(page.locator("#legend time")).to_have_text(printed(NEWEST))


async def frame(page: Page) -> None:
    """Return when what was changed is drawn."""
    await page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def read_before(chart: Page) -> int:
    """How many minutes before the newest the candle is that the legend tells of."""
    there = datetime.strptime(await chart.locator("#legend time").inner_text(), "%d %b %Y %H:%M")  # noqa: DTZ007
    return (NEWEST - there.replace(tzinfo=ZoneInfo("America/New_York"))) // MINUTE
