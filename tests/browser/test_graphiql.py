"""GraphiQL in a browser: it asks this server, and nobody else."""

import asyncio
import json
import re

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.anyio

# Not by wait_for_function, which the page's policy forbids.
KEPT = """text => new Promise(kept => {
    const look = () => localStorage.getItem('graphiql:tabState')?.includes(text) ? kept() : requestAnimationFrame(look)
    look()
})"""


@pytest.fixture
async def graphiql(page: Page) -> Page:
    await page.goto("/graphql")
    # It knows the schema, without which its play button offers nothing.
    await expect(page.locator(".graphiql-query-editor")).to_contain_text("query Candles")
    return page


async def run(page: Page, operation: str) -> None:
    await page.get_by_role("button", name="Execute query").click()
    await page.get_by_role("menuitem", name=operation, exact=True).click()


async def test_an_example_query_is_answered(graphiql):
    await run(graphiql, "Candles")

    answer = graphiql.locator(".graphiql-response")
    await expect(answer).to_contain_text('"open"')
    await expect(answer).not_to_contain_text('"errors"')


async def test_an_example_subscription_goes_on_until_it_is_stopped(graphiql):
    await run(graphiql, "FollowHealth")

    answer = graphiql.locator(".graphiql-response")
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
        await run(graphiql, "LatestCandle")

    assert await (await asked.value).header_value("x-mine") == "seen"
    await expect(graphiql.locator(".graphiql-response")).to_contain_text("latestCandle")

    # Listened to from its beginning: the first word comes at once.
    sent: asyncio.Queue[str] = asyncio.Queue()
    graphiql.on("websocket", lambda opened: opened.on("framesent", sent.put_nowait))
    await run(graphiql, "FollowHealth")
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
