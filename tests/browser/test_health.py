"""The foot of the dashboard over a real server: what is not stored, and what the exchange refuses, in plain words."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx2
import pytest
import sqlalchemy as sa
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from collector.okx.collector import OKXCollector
from collector.okx.simulator.server import Simulator
from tests.browser.conftest import a_page
from tests.served import serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]

NEW_YORK = ZoneInfo("America/New_York")
LONG = 60_000  # ms


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with Simulator(seed=5, rate=16, connections_per_second=100) as simulator:
        yield simulator


@pytest.fixture
async def seen(browser, exchange, database_url, tmp_path, complaints) -> AsyncIterator[Page]:
    """The dashboard of a server that stores trades, looked at from New York."""
    async with (
        serving(tmp_path, database_url, exchange) as program,
        a_page(browser, f"http://{program.address}", complaints, timezone_id=NEW_YORK.key) as page,
    ):
        await page.goto("/#okx/BTC-USDT/1s")
        await expect(page.locator("#feeds")).to_have_text("feeds 1 of 1", timeout=LONG)
        yield page


async def told_of(page: Page) -> dict:
    url = page.url.split("#")[0] + "graphql"
    query = "{ health { waiting { since reason } feeds { symbol refusal { since } } } }"
    async with httpx2.AsyncClient(timeout=60) as http:
        return (await http.post(url, json={"query": query})).json()["data"]["health"]


def minute_of(instant: str, zone: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(ZoneInfo(zone)):%H:%M}"


async def test_a_batch_that_waits_is_told_with_its_reason_and_the_time_on_the_clock_shown(seen, db):
    waiting = seen.get_by_role("status").and_(seen.locator("#waiting"))
    await expect(waiting).to_have_text("")
    async with db.engine.connect() as locked:
        await locked.execute(sa.text("LOCK TABLE raw_trades IN ACCESS EXCLUSIVE MODE"))
        await expect(waiting).to_contain_text("The database does not answer", timeout=LONG)
        since = (await told_of(seen))["waiting"]["since"]
        said = "A collector has stored nothing since {}: The database does not answer"
        await expect(waiting).to_have_text(said.format(minute_of(since, NEW_YORK.key)))
        await seen.get_by_role("button", name=NEW_YORK.key).click()
        await expect(waiting).to_have_text(said.format(minute_of(since, "UTC")))
        await everybody_can_use(seen)

    await expect(waiting).to_have_text("", timeout=LONG)


async def test_symbols_that_the_exchange_refuses_are_named_and_its_words_are_there_by_keyboard(
    seen, db, feed, exchange
):
    refused = seen.get_by_role("status").and_(seen.locator("#refused"))
    why = seen.get_by_text("What the exchange said", exact=True)
    await expect(refused).to_have_text("")
    await expect(why).to_be_hidden()

    symbols = ["NO-A", "NO-B", "NO-C", "NO-D"]
    async with OKXCollector(symbols, db=db, feed=feed, rest_url=exchange.rest_url, ws_url=exchange.ws_url):
        said = "The exchange refuses channels of NO-A, NO-B, NO-C and 1 more"
        await expect(refused).to_have_text(said, timeout=LONG)
        await why.focus()
        await seen.keyboard.press("Enter")
        [refusal] = [each["refusal"] for each in (await told_of(seen))["feeds"] if each["symbol"] == "NO-D"]
        since = minute_of(refusal["since"], NEW_YORK.key)
        last = seen.locator("#refused-list li").last
        # Which of its two channels is tried just now is not known.
        words = r"Wrong URL or channel:trades(-all)?,instId:NO-D doesn't exist\..*"
        await expect(last).to_have_text(re.compile(rf"^okx, trades(-all)? of NO-D, since {since}: {words} \(60018\)$"))
        await expect(last).to_be_visible()
        await everybody_can_use(seen)

    await expect(refused).to_have_text("", timeout=LONG)
    await expect(why).to_be_hidden()


async def everybody_can_use(page: Page) -> None:
    """In either scheme, and nothing of it is cut on a phone."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    await page.set_viewport_size({"width": 390, "height": 844})
    for place in ("html", "#alarms"):
        wide, there = await page.locator(place).evaluate("place => [place.scrollWidth, place.clientWidth]")
        assert wide <= there, place
