"""Documents are parsed and validated once, and mistakes are told every time."""

import asyncio
import gc
from contextlib import suppress

import pytest
from graphql import build_schema

from gql.errors import Refused
from gql.execution.documents import LONGEST, MOST, MOST_TEXT, Documents
from gql.limits import Limits
from tests.gql_server import Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

ONE = build_schema("type Query { a: Int }")


def numbered(number: int, length: int = 0) -> str:
    return f"{{ a{number}: a }}".ljust(length)


def test_least_recently_used_document_is_forgotten_first():
    documents = Documents(ONE, Limits())
    first, second = documents.read(numbered(0)), documents.read(numbered(1))
    for number in range(2, MOST):
        documents.read(numbered(number))
    documents.known(numbered(0))

    documents.read(numbered(MOST))

    assert documents.known(numbered(0)) is first
    assert documents.known(numbered(1)) is None
    assert second


def test_long_documents_push_others_out_and_too_long_ones_are_not_kept():
    documents = Documents(ONE, Limits())
    texts = [numbered(number, LONGEST) for number in range(MOST_TEXT // LONGEST)]
    kept = [documents.read(text) for text in texts]
    too_long = numbered(0, LONGEST + 1)

    assert documents.read(too_long)
    assert documents.known(too_long) is None
    assert [documents.known(text) for text in texts] == kept
    documents.read(numbered(0, LONGEST).replace("a0", "b0"))

    assert [documents.known(text) for text in texts] == [None, *kept[1:]]


async def test_others_are_answered_while_a_long_document_is_read():
    documents = Documents(ONE, Limits())
    right, wrong = numbered(0, 2_000), "{ b }".ljust(2_000)
    reading = [asyncio.create_task(documents.learned(text, None)) for text in (right, right, wrong)]
    await asyncio.sleep(0)

    await documents.learned("{ a }", None)

    assert not any(task.done() for task in reading)
    first, second, refused = await asyncio.gather(*reading, return_exceptions=True)
    assert first is second is documents.known(right)
    assert isinstance(refused, Refused)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{ a " * 300, id="no document"),
        pytest.param("{ " + "a " * 300 + "}", id="right"),
        pytest.param("{ " + "b " * 300 + "}", id="too many mistakes"),
        pytest.param("{ " + "...F " * 300 + "} fragment F on Query { b }", id="a fragment"),
    ],
)
def test_reading_a_document_leaves_next_to_nothing_to_the_garbage_collector(text):
    documents = Documents(ONE, Limits())
    gc.collect()
    gc.disable()
    try:
        with suppress(Refused):
            documents.read(text)
        documents = Documents(ONE, Limits())
        left = gc.collect()
    finally:
        gc.enable()

    assert left < 300


def test_document_with_mistakes_is_not_kept():
    documents = Documents(ONE, Limits())

    with pytest.raises(Refused):
        documents.read("{ b }")

    assert documents.known("{ b }") is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("{ nothing }", "GRAPHQL_VALIDATION_FAILED", id="unknown field"),
        pytest.param("{ health {", "GRAPHQL_PARSE_FAILED", id="syntax error"),
        pytest.param('{ bot(id: "1", id: "2") { id } }', "GRAPHQL_VALIDATION_FAILED", id="argument twice"),
        pytest.param("query ($a: Int!) { candles(symbol: \"A\", timeframe: \"1m\", first: $a) { nodes { open } } }",
                     "BAD_USER_INPUT", id="missing variable of a valid document"),
    ],
)  # fmt: skip
async def test_mistake_is_told_the_same_the_second_time(db, feed, query, code):
    async with Client(an_app(db, feed)) as client:
        first = await client.post(query)
        second = await client.post(query)

    assert [error["extensions"]["code"] for error in first["errors"]] == [code]
    assert second["errors"] == first["errors"]


async def test_known_document_still_needs_the_right_operation_and_method(db, feed):
    query = "query A { __typename } mutation B { __typename }"
    async with Client(an_app(db, feed)) as client:
        for name, expected in (("A", "Query"), ("B", "Mutation"), ("A", "Query")):
            response = await client.http.post("/graphql", json={"query": query, "operationName": name})
            assert response.json()["data"] == {"__typename": expected}

        refused = await client.http.get("/graphql", params={"query": query, "operationName": "B"})

    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_websocket_tells_mistakes_after_the_document_was_known_elsewhere(db, feed):
    async with running(an_app(db, feed)) as address:
        for _ in range(2):
            async with graphql_ws(address) as client:
                await client.subscribe("{ __typename }")
                assert await client.event() == {"__typename": "Query"}
                assert (await client.receive())["type"] == "complete"
                await client.subscribe("{ nothing }", "2")
                assert (await client.receive())["type"] == "error"
                await client.subscribe("{ health {", "3")
                assert (await client.receive())["type"] == "error"
