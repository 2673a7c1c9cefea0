"""The dashboard and GraphiQL as they are sent: from here alone, compressed, and with what they may do."""

import gzip
import re
from pathlib import Path

import pytest

import gql.app
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

PAGES = {"/": "text/html", "/graphql": "text/html"}
BUILT = Path(gql.app.__file__).parent / "static"
FILES = sorted(file.name.removesuffix(".gz") for file in (BUILT / "assets").glob("*.gz"))


@pytest.fixture
async def browser(db, feed):
    async with Client(an_app(db, feed), Accept="text/html,*/*;q=0.8") as client:
        yield client.http


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_runs_no_script_but_our_files_and_stands_in_no_frame(browser, path):
    page = await browser.get(path)
    policy = dict(part.split(maxsplit=1) for part in page.headers["content-security-policy"].split("; "))

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["worker-src"] == "'self'"
    assert not re.search(r"<script(?![^>]*\ssrc=)", page.text)
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
async def test_everything_that_a_page_names_is_ours_and_there(browser, path):
    page = await browser.get(path)
    named = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]*)"', page.text)

    assert named
    for name in named:
        assert name.startswith("./assets/")
        assert (await browser.get(name.removeprefix("."))).status_code == 200


@pytest.mark.parametrize("name", FILES)
async def test_a_file_is_kept_for_good_and_typed_by_its_name(browser, name):
    response = await browser.get(f"/assets/{name}")

    assert response.status_code == 200
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not response.headers["content-type"].startswith("text/plain")


async def test_who_reads_gzip_gets_what_lies_there_and_others_the_same_unpacked(browser):
    packed = await browser.get(f"/assets/{FILES[0]}", headers={"Accept-Encoding": "gzip, br"})
    plain = await browser.get(f"/assets/{FILES[0]}", headers={"Accept-Encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.content == plain.content == gzip.decompress((BUILT / "assets" / f"{FILES[0]}.gz").read_bytes())


@pytest.mark.parametrize("path", ["/assets/nothing.js", "/assets/", "/assets/..%2findex.html", "/index.html", "/x"])
async def test_there_is_nothing_else(browser, path):
    response = await browser.get(path)

    assert response.status_code == 404
    assert "immutable" not in response.headers.get("cache-control", "")


async def test_graphiql_can_be_left_out(db, feed):
    async with Client(an_app(db, feed, graphiql=False)) as client:
        page = await client.http.get("/graphql", headers={"Accept": "text/html"})

    assert "<html" not in page.text


async def test_the_dashboard_is_light(browser):
    """No more than 120 KB is sent for all its code and style, fonts and pictures."""
    page = (await browser.get("/")).text
    named = re.findall(r'<(?:script|link)[^>]* (?:src|href)="\./([^"]*)"', page)

    assert sum((BUILT / f"{name}.gz").stat().st_size for name in named) < 120_000


async def test_a_browser_gets_graphiql_for_an_address_with_a_query_and_others_get_the_answer(db, feed):
    where = "/graphql?query=%7B__typename%7D"
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    async with Client(an_app(db, feed)) as client:
        page = await client.http.get(where, headers={"Accept": browser})
        answer = await client.http.get(where, headers={"Accept": "application/json, text/html"})
        any_answer = await client.http.get(where, headers={"Accept": "*/*"})

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.json()["data"] == any_answer.json()["data"] == {"__typename": "Query"}
