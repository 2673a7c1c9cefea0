"""The page of examples/, which is served by another server than candleql."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.demo import a_demo

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The origin of a server of files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLES))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_it_shows_live_candles_and_goes_on_after_the_server_died_and_came_back(browser, elsewhere):
    async with a_demo(ALLOWED_ORIGINS=elsewhere) as demo, await browser.new_context() as context:
        await demo.furnished()
        page = await context.new_page()
        await page.goto(f"{elsewhere}/page.html?server={demo.url.replace('http', 'ws')}/graphql")
        newest = page.locator("#candles tr:first-child td:first-child")
        await expect(page.locator("#candles tr")).to_have_count(20)
        await expect(page.locator("#candles")).to_contain_text("forming")

        await demo.kill()
        await expect(page.locator("#state")).to_have_text("reconnecting")
        before = await newest.inner_text()
        await demo.start()

        await expect(page.locator("#state")).to_have_text("live")
        await expect(newest).not_to_have_text(before)
        await expect(page.locator("#candles tr")).to_have_count(20)


async def test_it_begins_anew_and_says_so_when_the_server_s_data_are_others(browser, elsewhere):
    async with a_demo(ALLOWED_ORIGINS=elsewhere) as demo, await browser.new_context() as context:
        await demo.furnished()
        page = await context.new_page()
        await page.goto(f"{elsewhere}/page.html?server={demo.url.replace('http', 'ws')}/graphql")
        await expect(page.locator("#candles tr")).to_have_count(20)

        await demo.lose_its_data()

        await expect(page.locator("#state")).to_contain_text("begun anew", timeout=60_000)
        await expect(page.locator("#candles")).to_contain_text("forming", timeout=60_000)
