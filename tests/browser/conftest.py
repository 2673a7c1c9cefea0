"""A browser, and a demo for it to look at. Without a browser these tests are skipped, and say so."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from repos.operations import DatabaseOperations
from tests.browser.demo import Demo, a_demo
from tests.browser.stored import a_known_server

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# ms; a busy machine takes its time.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
async def browser(anyio_backend) -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium to test with: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture(scope="session")
async def demo(browser: Browser) -> AsyncIterator[Demo]:
    async with a_demo() as demo:
        await demo.furnished()
        yield demo


@pytest.fixture
def complaints() -> list[str]:
    """What the browser told of `page`: errors, and requests that left the server. A test may forget what it caused."""
    return []


@pytest.fixture
async def page(browser: Browser, demo: Demo, complaints: list[str]) -> AsyncIterator[Page]:
    """An empty page that never was at the demo; `page.goto("/")` goes there. At the end nothing is complained of."""
    async with a_page(browser, demo.url, complaints) as page:
        yield page


@pytest.fixture(scope="session")
async def known(browser: Browser) -> AsyncIterator[tuple[Demo, DatabaseOperations]]:
    """A server whose candles are known to the digit."""
    async with a_known_server() as known:
        yield known


@pytest.fixture
async def still(browser: Browser, known: tuple[Demo, DatabaseOperations], complaints: list[str]) -> AsyncIterator[Page]:
    """An empty page for what is `known`, in New York: nothing moves by itself."""
    async with a_page(browser, known[0].url, complaints, timezone_id="America/New_York") as page:
        yield page


@asynccontextmanager
async def a_page(browser: Browser, url: str, complaints: list[str], **how: Any) -> AsyncIterator[Page]:
    """An empty page of a server; at the end nothing is complained of. `how` says what the viewer is like."""
    viewer: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}} | how
    context = await browser.new_context(base_url=url, **viewer)
    own = (f"{url}/", f"{url.replace('http', 'ws')}/", "data:", "blob:")

    def asked(url: str) -> None:
        if not url.startswith(own):
            complaints.append(f"asked for {url}")

    try:
        page = await context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.on("websocket", lambda opened: asked(opened.url))
        yield page
    finally:
        await context.close()
    assert not complaints
