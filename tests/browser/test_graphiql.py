"""GraphiQL in a browser: it asks this server, and nobody else."""

import asyncio
import json
import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import a_page

pytestmark = pytest.mark.anyio

# Not by wait_for_function, which the page's policy forbids.
KEPT = """text => new Promise(kept => {
    const look = () => localStorage.getItem('graphiql:tabState')?.includes(text) ? kept() : requestAnimationFrame(look)
    look()
})"""


@pytest.fixture
async def graphiql(page: Page) -> Page:
    await opened(page)
    return page


async def opened(page: Page) -> None:
    await page.goto("/graphql")
    # It knows the schema, without which its play button offers nothing.
    await expect(page.locator(".graphiql-query-editor")).to_contain_text("query Candles")


async def ran(page: Page, operation: str) -> Locator:
    """What it answers."""
    await page.get_by_role("button", name="Execute query").click()
    await page.get_by_role("menuitem", name=operation, exact=True).click()
    return page.locator(".graphiql-response")


async def test_an_example_query_is_answered(graphiql):
    answer = await ran(graphiql, "Candles")

    await expect(answer).to_contain_text('"open"')
    await expect(answer).not_to_contain_text('"errors"')


async def test_an_example_subscription_goes_on_until_it_is_stopped(graphiql):
    answer = await ran(graphiql, "FollowHealth")

    first = await checked_at(answer)
    await expect(answer).not_to_contain_text(first, timeout=15_000)
    await graphiql.get_by_role("button", name="Stop query").click()
    await expect(graphiql.get_by_role("button", name="Execute query")).to_be_visible()


async def checked_at(answer) -> str:
    """When the health that is shown was looked at."""
    shown = re.compile(r'"checkedAt":\s"([^"]+)"')
    await expect(answer).to_contain_text(shown)
    return shown.search(await answer.inner_text())[1]


async def test_a_mistake_is_marked_before_it_is_sent(graphiql):
    await graphiql.locator(".graphiql-query-editor .view-lines").click()
    await graphiql.keyboard.press("Control+Home")
    await graphiql.keyboard.type("{ nothing }\n")

    await expect(graphiql.locator(".graphiql-query-editor .squiggly-error").first).to_be_visible()


async def test_the_headers_go_with_queries_and_open_the_socket_of_subscriptions(graphiql):
    await graphiql.get_by_role("button", name="Headers").click()
    await graphiql.locator(".graphiql-editor-tool .graphiql-editor:visible .view-lines").click()
    await graphiql.keyboard.type('{"x-mine": "seen"')  # the editor closes what is open

    async with graphiql.expect_request(lambda request: "LatestCandle" in (request.post_data or "")) as asked:
        await ran(graphiql, "LatestCandle")

    assert await (await asked.value).header_value("x-mine") == "seen"
    await expect(graphiql.locator(".graphiql-response")).to_contain_text("latestCandle")

    # Listened to from its beginning: the first word comes at once.
    sent: asyncio.Queue[str] = asyncio.Queue()
    graphiql.on("websocket", lambda opened: opened.on("framesent", sent.put_nowait))
    await ran(graphiql, "FollowHealth")
    async with asyncio.timeout(20):
        first = await sent.get()
    assert json.loads(first) == {"type": "connection_init", "payload": {"x-mine": "seen"}}


async def test_what_was_typed_is_there_after_a_reload(graphiql):
    await graphiql.locator(".graphiql-query-editor .view-lines").click()
    await graphiql.keyboard.press("Control+Home")
    await graphiql.keyboard.type("# remember\n")
    await graphiql.evaluate(KEPT, "remember")

    await graphiql.reload()

    await expect(graphiql.locator(".graphiql-query-editor")).to_contain_text("remember")


async def test_graphiql_opens_with_the_query_of_the_address(page):
    await page.goto("/graphql?query=%7B%20health%20%7B%20healthy%20%7D%20%7D")

    await expect(page.locator(".graphiql-query-editor")).to_contain_text("{ health { healthy } }")


async def test_examples_of_graphiql_read_a_bot_that_is_there_and_change_none_but_their_own(
    graphiql, browser, demo, complaints
):
    await expect(await ran(graphiql, "Bot")).to_contain_text('"version"')
    before = await names(graphiql)
    assert before
    refused = {"UpdateBot": "NOT_FOUND", "DeleteBot": '"deleted": false', "RecordHeartbeat": "NOT_FOUND"}
    for operation, answer in refused.items():
        await expect(await ran(graphiql, operation)).to_contain_text(answer)
    assert await names(graphiql) == before

    await expect(await ran(graphiql, "CreateBot")).to_contain_text('"graphiql-example"')
    async with a_page(browser, demo.url, complaints) as other:  # The first one keeps the variables that it has.
        await opened(other)
        await expect(await ran(other, "UpdateBot")).to_contain_text('"slow"')
        await expect(await ran(other, "DeleteBot")).to_contain_text('"deleted": true')
    assert await names(graphiql) == before


async def names(page: Page) -> list[str]:
    """Of the bots that there are."""
    answer = await page.request.post("/graphql", data={"query": "{ bots(first: 100) { nodes { name } } }"})
    return [bot["name"] for bot in (await answer.json())["data"]["bots"]["nodes"]]
