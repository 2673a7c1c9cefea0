"""GraphQL over HTTP: which media types are spoken, and which status says what."""

import json

import pytest
from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult

from gql.http import EVENTS, JSON, RESPONSE, accepted, is_json, send_result, status_of
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

NEW = "application/graphql-response+json"
OLD = "application/json"


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


async def post(client, query, accept=None, **more):
    headers = {"accept": accept} if accept is not None else {}
    return await client.http.post("/graphql", json={"query": query, **more}, headers=headers)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", OLD),
        ("*/*", OLD),
        ("application/*", OLD),
        (OLD, OLD),
        (NEW, NEW),
        (f"{OLD}, {NEW}", NEW),
        (f"{NEW};q=0.5, {OLD}", OLD),
        (f"{NEW}, {OLD};q=0.9", NEW),
        (f"{NEW}, application/graphql+json, {OLD}, text/event-stream, multipart/mixed", NEW),
        ("text/event-stream", "text/event-stream"),
        (f"text/event-stream, {OLD};q=0.5", "text/event-stream"),
        (f"{OLD.upper()} ; charset=utf-8", OLD),
        ("text/html, */*;q=0.1", OLD),
    ],
)
async def test_answer_is_in_the_media_type_that_the_client_prefers(client, accept, media_type):
    response = await post(client, "{ __typename }", accept)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert '"data":{"__typename":"Query"}' in response.text


@pytest.mark.parametrize("accept", ["text/html", "image/*", f"{OLD};q=0", "application/xml", f"{NEW};q=nonsense"])
async def test_client_that_reads_nothing_of_ours_gets_406_and_nothing_is_executed(client, db, accept):
    bot = '{name: "b", strategyName: "s", symbol: "X", timeframe: "1m", virtualBalance: 1}'

    response = await post(client, f"mutation {{ createBot(input: {bot}) {{ bot {{ id }} }} }}", accept)

    assert (response.status_code, code_of(response)) == (406, "BAD_USER_INPUT")
    assert await db.bots.get_by_name("b") is None


MISTAKES = [
    ("{ health {", "GRAPHQL_PARSE_FAILED"),
    ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
    ('query ($x: Timeframe!) { latestCandle(symbol: "X", timeframe: $x) { open } }', "BAD_USER_INPUT"),
    ("query A { __typename } query B { __typename }", "BAD_USER_INPUT"),
]


@pytest.mark.parametrize(("accept", "status"), [(NEW, 400), (OLD, 200)])
@pytest.mark.parametrize(("query", "code"), MISTAKES)
async def test_what_was_not_executed_has_no_data_and_in_the_new_media_type_a_status(
    client, query, code, accept, status
):
    response = await post(client, query, accept)

    assert (response.status_code, code_of(response)) == (status, code)
    assert "data" not in response.json()


async def test_unknown_operation_is_not_the_only_one_under_another_name(client):
    response = await post(client, "query A { __typename }", NEW, operationName="B")

    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


async def test_field_that_fails_leaves_200_and_data(client):
    response = await post(client, '{ candles(symbol: "", timeframe: "1m") { totalCount } health { healthy } }', NEW)

    assert response.status_code == 200
    assert response.json()["data"] == {"candles": None, "health": {"healthy": True}}
    assert code_of(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=utf-16",
        "application/jsonx",
    ],
)
async def test_body_of_another_media_type_is_415(client, content_type):
    headers = {"content-type": content_type} if content_type else {}

    response = await client.http.post("/graphql", content=b'{"query": "{ __typename }"}', headers=headers)

    assert (response.status_code, code_of(response)) == (415, "BAD_USER_INPUT")


@pytest.mark.parametrize("coding", ["gzip", "br", "nonsense", "identity, gzip"])
async def test_a_compressed_body_is_415_and_told_so(client, coding):
    response = await client.http.post(
        "/graphql", content=b"\x1f\x8b", headers={"content-type": OLD, "content-encoding": coding}
    )

    assert (response.status_code, code_of(response)) == (415, "BAD_USER_INPUT")
    assert response.headers["accept-encoding"] == "identity"
    assert "Content-Encoding" in response.text


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "identity"}])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n "])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/"])
async def test_a_body_may_begin_with_a_byte_order_mark_and_the_path_end_with_a_slash(client, headers, start, path):
    body = start + b'{"query": "{ __typename }"}'

    response = await client.http.post(path, content=body, headers={"content-type": OLD, **headers})

    assert (response.status_code, response.json()["data"]) == (200, {"__typename": "Query"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/graphql/x", 404), ("POST", "/graphql/x/", 404), ("POST", "/graphqlx", 404), ("PUT", "/graphql/", 405)],
)
async def test_what_is_not_there_is_told_in_json(client, method, path, status):
    response = await client.http.request(method, path, headers={"accept": "*/*"})

    assert (response.status_code, code_of(response)) == (status, "BAD_USER_INPUT")
    assert response.headers["content-type"] == f"{OLD}; charset=utf-8"


async def test_other_methods_are_405_and_told_which_are_allowed(client):
    for method in ("PUT", "DELETE", "PATCH", "HEAD"):
        response = await client.http.request(method, "/graphql")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST"), method


async def test_get_carries_variables_and_operation_name(client):
    query = "query A($skip: Boolean!) { __typename @skip(if: $skip) a: __typename } query B { b: __typename }"
    parameters = {"query": query, "operationName": "A", "variables": json.dumps({"skip": True}), "extensions": "{}"}

    response = await client.http.get("/graphql", params=parameters)

    assert response.json()["data"] == {"a": "Query"}


@pytest.mark.parametrize(
    "parameters",
    [{}, {"query": ""}, {"variables": "{}"}, {"query": "{ a }", "variables": "["}, {"query": "{ a }", "variables": "7"},
     {"query": "{ a }", "extensions": "nonsense"}, {"query": "{ a }", "variables": "[" * 5_000}],
)  # fmt: skip
async def test_url_that_is_no_request_is_400(client, parameters):
    response = await client.http.get("/graphql", params=parameters)

    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


async def test_subscription_that_is_not_streamed_is_406_and_told_where_to_go(client):
    for accept in (NEW, OLD, "*/*", "multipart/mixed;subscriptionSpec=1.0, application/json"):
        response = await post(client, "subscription { health { healthy } }", accept)

        assert (response.status_code, code_of(response)) == (406, "BAD_USER_INPUT"), accept
        assert "text/event-stream" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("code", "statuses"),
    [
        ("UNAUTHENTICATED", [401, 401, 401]),
        ("FORBIDDEN", [403, 403, 403]),
        ("RATE_LIMITED", [429, 429, 429]),
        ("COST_LIMIT_EXCEEDED", [400, 200, 200]),
        ("PERSISTED_QUERY_NOT_FOUND", [400, 200, 200]),
        ("DATABASE_UNAVAILABLE", [503, 503, 503]),
        ("INTERNAL_SERVER_ERROR", [500, 500, 500]),
    ],
)
def test_one_policy_gives_each_code_its_status(code, statuses):
    refused = ExecutionResult(None, [GraphQLError("no", extensions={"code": code})])
    failed = ExecutionResult({"a": None}, [GraphQLError("no", path=["a"], extensions={"code": code})])

    assert [status_of(refused, media_type) for media_type in (RESPONSE, JSON, EVENTS)] == statuses
    assert [status_of(failed, media_type) for media_type in (RESPONSE, JSON, EVENTS)] == [200] * 3


async def test_401_names_the_scheme_and_429_when_to_come_back():
    for extensions, header in [
        ({"code": "UNAUTHENTICATED"}, (b"www-authenticate", b"Bearer")),
        ({"code": "RATE_LIMITED", "retryAfter": 2.5}, (b"retry-after", b"3")),
    ]:
        sent = []

        async def send(message, sent=sent):
            sent.append(message)

        await send_result(send, ExecutionResult(None, [GraphQLError("no", extensions=extensions)]), JSON, [])

        assert header in sent[0]["headers"]


def test_headers_of_any_shape_are_understood_without_failing():
    for header in (b",", b";", b";q=", b"a/b;q", b"\xff", b"*/*;q=nan", b" , ,"):
        accepted(header)
        is_json(header)


def code_of(response):
    return response.json()["errors"][0]["extensions"]["code"]
