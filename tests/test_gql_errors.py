"""The one error path over HTTP: every error has a code, and nothing that is not meant for clients leaves."""

from datetime import timedelta

import pytest
import strawberry
import structlog
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from gql.auth import Access
from gql.resources import Gate, Resources
from gql.scalars import SCALARS
from gql.view import GraphQLView
from repos.errors import DatabaseOperationError
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

INTERNALS = "SELECT balance FROM /srv/accounts"


@strawberry.type
class Faulty:
    @strawberry.field
    def secret(self) -> str | None:
        raise RuntimeError(INTERNALS)

    @strawberry.field
    def database(self) -> str | None:
        raise DatabaseOperationError(INTERNALS)

    @strawberry.field
    def number(self) -> int | None:
        return 2**40

    @strawberry.field
    def nothing(self) -> str:
        return None

    @strawberry.field
    def unprintable(self) -> JSON:
        return JSON(object())

    @strawberry.field
    def fine(self, text: str = "") -> str:
        return "fine" + text


FAULTY = strawberry.Schema(query=Faulty, config=StrawberryConfig(scalar_map=SCALARS))


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


@pytest.fixture
async def faulty(db, feed):
    """A client of an application whose fields fail."""
    app = an_app(db, feed)
    app.graphql = GraphQLView(Resources(db, feed, timedelta(seconds=60), Gate(FAULTY)), Access())
    async with Client(app) as client:
        yield client


@pytest.mark.parametrize("field", ["secret", "database", "number"])
async def test_what_no_one_foresaw_is_masked_and_logged_under_its_request_id(faulty, field):
    with structlog.testing.capture_logs() as logs:
        answer = await faulty.post(f"{{ {field} fine }}")

    [error] = answer["errors"]
    [logged] = logs
    assert answer["data"] == {field: None, "fine": "fine"}
    assert error["message"] == "Internal server error"
    assert error["path"] == [field]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": logged["request_id"]}
    assert logged["log_level"] == "error"
    assert isinstance(logged["exc_info"], Exception)


async def test_a_broken_promise_of_the_schema_is_ours_not_the_clients(faulty):
    [error] = (await faulty.post("{ nothing }"))["errors"]

    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


async def test_a_failure_outside_of_an_operation_is_masked_too(faulty):
    with structlog.testing.capture_logs() as logs:
        response = await faulty.http.post("/graphql", json={"query": "{ unprintable }"})

    [error] = response.json()["errors"]
    assert response.status_code == 500
    assert error["message"] == "Internal server error"
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": logs[0]["request_id"]}


async def test_a_null_variable_where_none_may_be_is_the_clients_mistake(faulty):
    [error] = (await faulty.post("query ($t: String) { fine(text: $t) }", t=None))["errors"]

    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "'text'" in error["message"]


FAULTS = [
    ("{ health { healthy }", "GRAPHQL_PARSE_FAILED"),
    ('{ candles(symbol: "X", timeframe: 5s) { totalCount } }', "GRAPHQL_PARSE_FAILED"),
    ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ candles { totalCount } }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ health(nonsense: 1) { healthy } }", "GRAPHQL_VALIDATION_FAILED"),
    ("query ($x: Decimal!) { health { healthy } }", "GRAPHQL_VALIDATION_FAILED"),
    ('query ($x: Timeframe = "5x") { latestCandle(symbol: "X", timeframe: $x) { open } }', "BAD_USER_INPUT"),
    ('{ health @skip(if: "yes") { healthy } }', "BAD_USER_INPUT"),
    ('query ($x: Timeframe!) { latestCandle(symbol: "X", timeframe: $x) { open } }', "BAD_USER_INPUT"),
]


async def test_what_fails_before_execution_has_a_code(client):
    for query, code in FAULTS:
        answer = await client.post(query)

        assert "data" not in answer, query
        assert {error["extensions"]["code"] for error in answer["errors"]} == {code}, query


NO_REQUESTS = [
    b"",
    b"{",
    b"null",
    b"7",
    b'"{ health { healthy } }"',
    b"[]",
    b'[{"query": "{ health { healthy } }"}]',
    b"\xff",
    b'{"query": NaN}',
    b"[" * 100_000,
    b'{"query": "{ health { healthy } }", "variables": {"x": ' + b"9" * 6_000 + b"}}",
    b"{}",
    b'{"query": 7}',
    b'{"query": ""}',
    b'{"query": "{ health { healthy } }", "variables": []}',
    b'{"query": "{ health { healthy } }", "operationName": 7}',
    b'{"query": "{ health { healthy } }", "extensions": "none"}',
]


async def test_a_body_that_is_no_request_is_refused(client):
    for body in NO_REQUESTS:
        response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})

        [error] = response.json()["errors"]
        assert (response.status_code, error["extensions"]) == (400, {"code": "BAD_USER_INPUT"}), body[:60]
        assert error["message"]


async def test_a_subscription_by_plain_post_is_told_where_to_go(client):
    answer = await client.post("subscription { health { healthy } }")

    assert "text/event-stream" in answer["errors"][0]["message"]


async def test_get_asks_but_never_changes(client):
    asked = await client.http.get("/graphql", params={"query": "{ __typename }"})
    changed = await client.http.get("/graphql", params={"query": 'mutation { deleteBot(id: "1") { deleted } }'})
    page = await client.http.get("/graphql", headers={"accept": "text/html"})

    assert asked.json()["data"] == {"__typename": "Query"}
    assert (changed.status_code, changed.headers["allow"]) == (405, "POST")
    assert "GraphiQL" in page.text


async def test_a_database_that_is_away_is_told_as_such():
    away = DatabaseOperations("postgresql://127.0.0.1:1/nowhere")
    try:
        async with Feed(away) as feed, Client(an_app(away, feed)) as client:
            answer = await client.post("{ stats { healthy } health { healthy database { connected latencyMs } } }")
            ready = await client.http.get("/readyz")
    finally:
        await away.close()

    [error] = answer["errors"]
    assert answer["data"] == {
        "stats": None,
        "health": {"healthy": False, "database": {"connected": False, "latencyMs": None}},
    }
    assert error["extensions"]["code"] == "DATABASE_UNAVAILABLE"
    assert "127.0.0.1" not in error["message"]
    assert (ready.status_code, ready.json()) == (503, {"ready": False})


async def test_machines_can_ask_for_health(client):
    alive, ready = await client.http.get("/healthz"), await client.http.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"alive": True})
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


@pytest.mark.parametrize("directives", ["@aa" * 10, " ".join(f"@a{n}" for n in range(10))], ids=["one", "each another"])
async def test_ten_unknown_directives_are_one_mistake(client, directives):
    answer = await client.post("{ __typename " + directives + " }")

    [error] = answer["errors"]
    assert error["message"].startswith("Unknown directive '@a")
