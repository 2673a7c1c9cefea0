"""Documents are parsed and validated once, and mistakes are told every time."""

import pytest
from graphql import GraphQLSchema, parse

from gql.execution.documents import LONGEST, MOST, MOST_TEXT, DocumentCache
from tests.gql_server import Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

ANY = parse("{ __typename }")
OURS, OTHER = GraphQLSchema(), GraphQLSchema()


def test_least_recently_used_document_is_forgotten_first():
    cache = DocumentCache()
    for number in range(MOST):
        cache.keep(OURS, str(number), ANY)
    cache.get(OURS, "0")

    cache.keep(OURS, "one more", ANY)

    assert cache.get(OURS, "0") is ANY
    assert cache.get(OURS, "1") is None


def test_long_documents_push_others_out_and_too_long_ones_are_not_kept():
    cache = DocumentCache()
    texts = [str(number).ljust(LONGEST) for number in range(MOST_TEXT // LONGEST + 1)]

    for text in [*texts, "x" * (LONGEST + 1)]:
        cache.keep(OURS, text, ANY)

    assert [text for text in texts if cache.get(OURS, text) is None] == texts[:1]
    assert cache.get(OURS, "x" * (LONGEST + 1)) is None


def test_document_that_is_valid_for_one_schema_is_not_known_to_another():
    cache = DocumentCache()

    cache.keep(OURS, "{ a }", ANY)

    assert cache.get(OTHER, "{ a }") is None


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
    assert second == first


async def test_known_document_still_needs_the_right_operation_and_method(db, feed):
    query = "query A { __typename } mutation B { __typename }"
    async with Client(an_app(db, feed)) as client:
        for name, expected in (("A", "Query"), ("B", "Mutation"), ("A", "Query")):
            response = await client.http.post("/graphql", json={"query": query, "operationName": name})
            assert response.json()["data"] == {"__typename": expected}

        refused = await client.http.get("/graphql", params={"query": query, "operationName": "B"})

    assert refused.status_code == 400


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
