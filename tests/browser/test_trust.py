"""What the dashboard must not get wrong: colours, keys, old positions, bots in trouble, odd markets."""

import json
import re
from dataclasses import replace

import pytest
from playwright.async_api import Locator, Page, WebSocketRoute, expect

from repos.domain import Candle, Timeframe
from tests.browser.conftest import a_page
from tests.browser.demo import a_demo
from tests.browser.stored import NEWEST, a_minute
from tests.browser.test_chart import frame, printed, read_before

pytestmark = pytest.mark.anyio

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


async def at_minutes(page: Page) -> None:
    await page.goto("/#okx/BTC-USDT/1m")
    await expect(page.locator("#legend time")).to_have_text(printed(NEWEST))


async def test_the_chart_is_dark_in_the_dark_before_there_are_data(still, complaints):
    await still.emulate_media(color_scheme="dark")
    await still.route("**/graphql", lambda route: route.abort())
    await still.goto("/#okx/BTC-USDT/1m")
    await expect(still.locator("#chart-message")).to_contain_text("candleql serve")

    assert await still.evaluate(CENTRE) == [0x12, 0x16, 0x1C]
    complaints.clear()  # of a server that was not there


async def test_a_key_that_is_not_entered_or_wrong_is_said(browser):
    async with a_demo("--no-collect") as server, await browser.new_context() as context:
        await server.key("viewer")
        page = await context.new_page()
        await page.goto(server.url)
        dialog = page.get_by_role("dialog", name="API key")
        await expect(dialog).to_contain_text("wants an API key")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#chart-message")).to_contain_text("wants an API key")

        await page.get_by_role("button", name="Key", exact=True).click()
        await dialog.get_by_label("Key").fill("cql_wrong")
        await page.keyboard.press("Enter")

        await expect(dialog).to_contain_text("This key is wrong")
        await page.keyboard.press("Escape")
        await expect(page.locator("#chart-message")).to_contain_text("This key is wrong")


async def test_a_position_of_another_database_begins_the_chart_and_the_trades_anew_and_says_so(still):
    expired: set[str] = set()

    def guarded(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def say(message: str | bytes) -> None:
            said = json.loads(message)
            query = said.get("payload", {}).get("query", "") if said["type"] == "subscribe" else ""
            name = next((name for name in ("CandleEvents", "TradeEvents") if name in query), None)
            if name is None or name in expired:
                server.send(message)
                return
            expired.add(name)
            error = {"message": "That cursor is of another database", "extensions": {"code": "CURSOR_EXPIRED"}}
            socket.send(json.dumps({"id": said["id"], "type": "error", "payload": [error]}))

        socket.on_message(say)

    await still.route_web_socket(re.compile("/graphql$"), guarded)
    asked: list[str] = []
    still.on("request", lambda request: asked.append(request.post_data or ""))
    await at_minutes(still)

    await expect(still.locator("#notice")).to_contain_text("loaded anew")
    await expect(still.locator("#legend time")).to_have_text(printed(NEWEST))
    await frame(still)
    assert sum("query History" in text and '"timeframe":"1m"' in text for text in asked) >= 2
    assert expired == {"CandleEvents", "TradeEvents"}


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
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    async with a_page(browser, server.url, complaints, **phone) as page:
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


async def test_graphiql_opens_with_the_query_of_the_address(page):
    await page.goto("/graphql?query=%7B%20health%20%7B%20healthy%20%7D%20%7D")

    await expect(page.locator(".graphiql-query-editor")).to_contain_text("{ health { healthy } }")


async def test_examples_of_graphiql_read_a_bot_that_is_there_and_change_none_but_their_own(
    page, browser, demo, complaints
):
    await opened(page)
    await expect(await ran(page, "Bot")).to_contain_text('"version"')
    before = await names(page)
    assert before
    refused = {"UpdateBot": "NOT_FOUND", "DeleteBot": '"deleted": false', "RecordHeartbeat": "NOT_FOUND"}
    for operation, answer in refused.items():
        await expect(await ran(page, operation)).to_contain_text(answer)
    assert await names(page) == before

    await expect(await ran(page, "CreateBot")).to_contain_text('"graphiql-example"')
    async with a_page(browser, demo.url, complaints) as other:  # The first one keeps the variables that it has.
        await opened(other)
        await expect(await ran(other, "UpdateBot")).to_contain_text('"slow"')
        await expect(await ran(other, "DeleteBot")).to_contain_text('"deleted": true')
    assert await names(page) == before


async def opened(page: Page) -> None:
    await page.goto("/graphql")
    await expect(page.locator(".graphiql-query-editor")).to_contain_text("query Candles")


async def ran(page: Page, operation: str) -> Locator:
    """What it answers."""
    await page.get_by_role("button", name="Execute query").click()
    await page.get_by_role("menuitem", name=operation, exact=True).click()
    return page.locator(".graphiql-response")


async def names(page: Page) -> list[str]:
    """Of the bots that there are."""
    answer = await page.request.post("/graphql", data={"query": "{ bots(first: 100) { nodes { name } } }"})
    return [bot["name"] for bot in (await answer.json())["data"]["bots"]["nodes"]]
