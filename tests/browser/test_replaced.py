"""The dashboard over a server whose data are others than before."""

import json
import re

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import a_page
from tests.browser.demo import a_demo
from tests.browser.stored import MINUTE, NEWEST
from tests.browser.views import at_minutes, frame, printed
from tests.builders import a_candle

pytestmark = pytest.mark.anyio


async def test_a_position_of_another_database_begins_the_chart_and_the_trades_anew_and_says_so(still):
    expired = await expiring(still, "CandleEvents", "TradeEvents")
    asked: list[str] = []
    still.on("request", lambda request: asked.append(request.post_data or ""))
    await at_minutes(still)

    await expect(still.locator("#notice")).to_contain_text("loaded anew")
    await expect(still.locator("#legend time")).to_have_text(printed(NEWEST))
    await frame(still)
    assert sum("query History" in text and '"timeframe":"1m"' in text for text in asked) >= 2
    assert expired == {"CandleEvents", "TradeEvents"}


async def test_bots_are_listed_anew_when_their_subscription_ends(still, known):
    db = known[1]
    expired = await expiring(still, "BotEvents")
    answered: list[str] = []
    still.on("response", lambda response: answered.append(response.request.post_data or ""))
    await at_minutes(still)
    await expect(still.locator("#bots")).to_contain_text("No bots")
    assert expired == {"BotEvents"}
    bot = await db.bots.add({"name": "Unheard", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"})
    try:
        # Nobody followed when it was made.
        await expect(still.locator("#bots")).to_contain_text("Unheard")
        assert sum("query AllBots" in text for text in answered) == 2
        await db.bots.update(bot.id, {"name": "Heard"})
        await expect(still.locator("#bots")).to_contain_text("Heard")
    finally:
        await db.bots.delete(bot.id)


async def expiring(page: Page, *names: str) -> set[str]:
    """Have the first subscription of each name end with CURSOR_EXPIRED. Returns the names of those that did, by now."""
    expired: set[str] = set()

    def guarded(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def say(message: str | bytes) -> None:
            said = json.loads(message)
            query = said.get("payload", {}).get("query", "") if said["type"] == "subscribe" else ""
            name = next((name for name in names if name in query), None)
            if name is None or name in expired:
                server.send(message)
                return
            expired.add(name)
            error = {"message": "The data are others", "extensions": {"code": "CURSOR_EXPIRED"}}
            socket.send(json.dumps({"id": said["id"], "type": "error", "payload": [error]}))

        socket.on_message(say)

    await page.route_web_socket(re.compile("/graphql$"), guarded)
    return expired


async def test_another_data_folder_under_an_open_dashboard_is_shown_and_said_by_itself(browser, complaints):
    async with a_demo("--no-collect") as server, a_demo("--no-collect") as other:
        for demo, price in ((server, 100), (other, 900)):
            async with demo.database() as db:
                newest = NEWEST if demo is server else NEWEST - MINUTE
                await db.market_data.upsert_candles([a_candle(start_time=newest, open=price, close=price)])
                await db.bots.add({"name": f"Bot {price}", "strategy_name": "s", "symbol": "A-B", "timeframe": "1m"})
        async with a_page(browser, server.url, complaints, timezone_id="America/New_York") as page:
            await at_minutes(page)
            await expect(page.locator("#legend output").first).to_have_text("100.000")
            await expect(page.locator("#bots")).to_contain_text("Bot 100")
            await page.evaluate("globalThis.loaded = 'once'")

            await server.take_the_data_of(other)

            await expect(page.locator("#notice")).to_contain_text("loaded anew", timeout=60_000)
            await expect(page.locator("#legend time")).to_have_text(printed(NEWEST - MINUTE))
            await expect(page.locator("#legend output").first).to_have_text("900.000")
            await expect(page.locator("#bots")).to_contain_text("Bot 900")
            await expect(page.locator("#bots")).not_to_contain_text("Bot 100")
            async with server.database() as db:
                await db.market_data.upsert_candles([a_candle(start_time=NEWEST, open=901, close=901)])
            await expect(page.locator("#legend output").first).to_have_text("901.000")
            assert await page.evaluate("globalThis.loaded") == "once"
            complaints.clear()  # of a server that was not there
