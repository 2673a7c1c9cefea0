"""The dashboard in a browser, of a server that wants a key."""

import pytest
from playwright.async_api import expect

from tests.browser.demo import a_demo
from tests.browser.test_dashboard import create_bot

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def guarded(browser):
    """A server that wants a key, and the keys of a trader and a viewer."""
    async with a_demo("--no-collect") as server:
        yield server, {role: await server.key(role) for role in ("trader", "viewer")}


async def arrived(context, server, key):
    """A page of the dashboard, in which the key that was asked for is entered."""
    page = await context.new_page()
    await page.goto(server.url)
    await page.get_by_role("dialog", name="API key").get_by_label("Key").fill(key)
    await page.keyboard.press("Enter")
    return page


async def test_a_key_is_asked_for_and_kept_in_the_tab_alone(browser, guarded):
    server, keys = guarded
    async with await browser.new_context() as context:
        page = await arrived(context, server, keys["trader"])
        await page.get_by_role("button", name="New bot").click()

        await expect(page.get_by_role("dialog", name="New bot")).to_be_visible()
        await expect(page.locator("#connection")).to_have_text("connected")
        other = await context.new_page()
        await other.goto(server.url)
        await expect(other.get_by_role("dialog", name="API key")).to_be_visible()


async def test_what_a_key_may_not_do_is_said(browser, guarded):
    server, keys = guarded
    async with await browser.new_context() as context:
        page = await arrived(context, server, keys["viewer"])
        await create_bot(page, "x", "1")

        await expect(page.locator("#bot-error")).to_contain_text("A viewer may not")


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
