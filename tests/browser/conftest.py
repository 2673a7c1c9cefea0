"""A browser, and a demo for it to look at. Without a browser these tests are skipped, and say so."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.demo import Demo, a_demo

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
    context = await browser.new_context(base_url=demo.url, viewport={"width": 1440, "height": 900})
    own = (f"{demo.url}/", f"{demo.url.replace('http', 'ws')}/", "data:", "blob:")

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
