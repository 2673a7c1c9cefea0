"""What operations pass before they run, over every transport: names, cost, rate, trusted documents, time."""

import json
import time
from hashlib import sha256

import httpx2
import pytest
import structlog
from limits.errors import ConfigurationError

from gql import rate
from gql.limits import Limits
from gql.rate import Accounts, Exhausted
from tests.gql_server import WAIT, Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

ASKED = '{ bot(id: "1") { name } }'
COST = 11
PAGE = 'candles(symbol: "BTC-USDT", timeframe: "1m", first: 10000) { nodes { open high low close volume } }'
DEAR = "{ " + " ".join(f"p{n}: {PAGE}" for n in range(20)) + " }"


def hashed(text):
    return sha256(text.encode()).hexdigest()


def persisted(text, query=True):
    """The body of an automatic persisted query, with the query or without."""
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashed(text)}}
    return {"extensions": extensions} | ({"query": text} if query else {})


def code(answer):
    [error] = answer["errors"]
    return error["extensions"]["code"]


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


async def posted(client, body):
    return (await client.http.post("/graphql", json=body)).json()


async def test_every_answer_tells_its_cost_however_it_was_made(client):
    compiled = await client.post(ASKED)
    plain = await client.post('mutation { deleteBot(id: "1") { deleted } }')
    got = (await client.http.get("/graphql", params={"query": ASKED})).json()

    assert compiled["extensions"]["cost"]["requested"] == COST
    assert plain["extensions"]["cost"]["requested"] == COST
    assert got["extensions"]["cost"].keys() == {"requested", "limit", "remaining"}
    assert compiled["extensions"]["cost"]["remaining"] - got["extensions"]["cost"]["remaining"] >= 2 * COST


async def test_what_costs_too_much_never_runs(db, feed, client, monkeypatch):
    reads = []
    monkeypatch.setattr(db.market_data.stored, "pages", reads.append)

    posted = await client.post(DEAR)
    got = await client.http.get("/graphql", params={"query": DEAR})
    mutated = await client.post(
        "mutation ($c: [CandleInput!]!) { upsertCandles(input: $c) { storedCount } }", c=[{}] * 100_001
    )

    assert [code(answer) for answer in (posted, got.json(), mutated)] == ["COST_LIMIT_EXCEEDED"] * 3
    assert posted["errors"][0]["extensions"]["cost"] == {"requested": 20 * 60_010, "limit": 1_000_000}
    assert "1,200,200" in posted["errors"][0]["message"]
    assert reads == []


async def test_who_spent_the_minutes_points_is_told_when_to_come_back(db, feed):
    limits = Limits(cost=1_000, points_a_minute=1_000)
    async with Client(an_app(db, feed, limits=limits)) as client:
        for _ in range(200):
            response = await client.http.post("/graphql", json={"query": ASKED})
            if response.status_code != 200:
                break
        got = await client.http.get("/graphql", params={"query": ASKED})

    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert 1 <= error["extensions"]["retryAfter"] <= 60
    assert response.status_code == got.status_code == 429
    assert response.headers["retry-after"] == got.headers["retry-after"]


async def test_documents_that_have_to_be_read_are_charged_whether_right_or_wrong(db, feed):
    async with Client(an_app(db, feed, limits=Limits(cost=1_000, points_a_minute=1_000))) as client:
        codes = [code(await client.post(f"{{ nothing{n} }}")) for n in range(40)]

    assert codes[0] == "GRAPHQL_VALIDATION_FAILED"
    assert codes[-1] == "RATE_LIMITED"


async def test_zero_means_any_number(db, feed):
    async with Client(an_app(db, feed, limits=Limits(points_a_minute=0))) as client:
        answer = await client.post(ASKED)

    assert answer["extensions"]["cost"] == {"requested": COST, "limit": 1_000_000}


async def test_accounts_are_apart_and_give_all_of_their_points_but_no_more():
    accounts = Accounts(1_000)
    remaining = [await accounts.charge("one", 7) for _ in range(142)]

    with pytest.raises(Exhausted) as exhausted:
        await accounts.charge("one", 7)

    assert remaining == [1_000 - 7 * n for n in range(1, 143)]
    assert 1 <= exhausted.value.retry_after <= 60
    assert await accounts.charge("one", 6) == 0
    assert await accounts.charge("other", 1_000) == 0


async def test_a_storage_that_is_not_there_is_told_at_the_start(db, feed):
    with pytest.raises(ConfigurationError):
        an_app(db, feed, rate_storage="nonsense://")


async def test_refusals_are_messages_of_one_operation_on_a_websocket(db, feed):
    async with running(an_app(db, feed)) as address, graphql_ws(address) as socket:
        told = []
        for query in (DEAR, "{ nothing }", "{ health {", "{ a" * 17 + " }" * 17):
            await socket.subscribe(query)
            message = await socket.receive()
            told.append((message["type"], message["payload"][0]["extensions"]["code"]))
        await socket.subscribe("{ __typename }")
        answer = await socket.event()

    assert told == [
        ("error", "COST_LIMIT_EXCEEDED"),
        ("error", "GRAPHQL_VALIDATION_FAILED"),
        ("error", "GRAPHQL_PARSE_FAILED"),
        ("error", "GRAPHQL_VALIDATION_FAILED"),
    ]
    assert answer == {"__typename": "Query"}


async def test_server_sent_events_are_admitted_as_well_and_queries_over_them_compiled(db, feed):
    async with running(an_app(db, feed)) as address, httpx2.AsyncClient(timeout=WAIT) as http:
        texts = [
            (await http.post(f"http://{address}/graphql", json=body, headers={"accept": "text/event-stream"})).text
            for body in ({"query": DEAR}, {"query": ASKED}, persisted(ASKED, query=False), persisted(ASKED))
        ]

    dear, asked, unknown, registered = (
        json.loads(next(line for line in text.splitlines() if line.startswith("data: {")).removeprefix("data: "))
        for text in texts
    )
    assert code(dear) == "COST_LIMIT_EXCEEDED"
    assert code(unknown) == "PERSISTED_QUERY_NOT_FOUND"
    assert asked["data"] == registered["data"] == {"bot": None}


@pytest.mark.parametrize(
    ("query", "name", "told"),
    [
        pytest.param("query A { __typename } query B { __typename }", None, "several operations", id="none chosen"),
        pytest.param("query A { __typename }", "B", "no operation 'B'", id="another chosen"),
        pytest.param("{ __typename }", "", "no operation ''", id="the empty name"),
        pytest.param("fragment F on Query { __typename }", None, "no operation", id="none there"),
        pytest.param("", None, "no query", id="no document"),
    ],
)
async def test_an_operation_must_be_named_where_there_is_a_choice(db, feed, query, name, told):
    body = {"query": query, "operationName": name}
    async with running(an_app(db, feed)) as address, graphql_ws(address) as socket:
        async with httpx2.AsyncClient(timeout=WAIT) as http:
            accept = {"accept": "application/graphql-response+json"}
            response = await http.post(f"http://{address}/graphql", json=body, headers=accept)
        await socket.send(id="1", type="subscribe", payload=body)
        message = await socket.receive()

    assert response.status_code == 400
    for [error] in (response.json()["errors"], message["payload"]):
        assert error["extensions"] == {"code": "BAD_USER_INPUT"}
        assert told in error["message"]


HOSTILE = ["\0", "a\0b", "\x07", "\ud800", "x" * 100_000, "' OR 1=1 --", "", "\u202e", "\n"]
STRINGS = [
    "query ($x: String!) { candles(symbol: $x, timeframe: \"1m\") { nodes { open } } }",
    "query ($x: String!) { candles(exchange: $x, symbol: \"A\", timeframe: \"1m\") { nodes { open } } }",
    "query ($x: String!) { candles(symbol: \"A\", timeframe: \"1m\", after: $x) { nodes { open } } }",
    "query ($x: String!) { rawTrades(symbol: \"A\", dataType: $x) { nodes { id } } }",
    "query ($x: String!) { botByName(name: $x) { id } }",
    "query ($x: ID!) { bot(id: $x) { id } }",
    "query ($x: String!) { bots(symbol: $x) { nodes { id } } }",
    "query ($x: String!) { markets(exchange: $x) { symbol } }",
    "query ($x: String!) { instruments(search: $x) { nodes { symbol } } }",
    "query ($x: Timeframe!) { latestCandle(symbol: \"A\", timeframe: $x) { open } }",
    "query ($x: DateTime!) { candles(symbol: \"A\", timeframe: \"1m\", start: $x) { nodes { open } } }",
    "mutation ($x: String!) { insertRawWebsocketData(input: {symbol: \"A\", dataType: $x, rawData: 1}) { stored } }",
    "mutation ($x: JSON!) { insertRawWebsocketData(input: {symbol: \"A\", dataType: \"x\", rawData: $x}) { stored } }",
    "mutation ($x: String!) { updateBot(id: 1, input: {name: $x}) { bot { id } } }",
    "mutation ($x: String!) { updateBot(id: 1, input: {strategyName: $x}) { bot { id } } }",
]  # fmt: skip


@pytest.mark.parametrize("query", STRINGS)
async def test_no_string_makes_a_fault_of_ours(client, query):
    for value in HOSTILE:
        body = json.dumps({"query": query, "variables": {"x": value}})
        response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})

        for error in response.json().get("errors", []):
            assert error["extensions"]["code"] in ("BAD_USER_INPUT", "NOT_FOUND"), (value[:20], error)


@pytest.mark.parametrize(
    "body", [b'{"query": "{ \\ud800 }"}', b'{"query": "{ __typename }", "operationName": "\\ud800"}']
)
async def test_half_of_a_surrogate_pair_is_no_text(client, body):
    response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, code(response.json())) == (400, "BAD_USER_INPUT")


async def test_raw_data_and_settings_of_bots_are_bounded(client):
    raw = 'mutation ($x: JSON!) { insertRawWebsocketData(input: {symbol: "A", dataType: "x", rawData: $x}) { stored } }'
    fits, long = "x" * 1_048_574, "x" * 1_048_575

    assert (await client.ask(raw, x=fits))["insertRawWebsocketData"] == {"stored": True}
    assert (await client.refused(raw, x=long))[0] == "BAD_USER_INPUT"
    bot = 'mutation ($x: JSON!) { createBot(input: {name: "b", strategyName: "s", symbol: "A", timeframe: "1m",'
    assert (await client.refused(bot + " virtualBalance: 1, config: $x}) { bot { id } } }", x={"a": "x" * 65_536}))[
        0
    ] == "BAD_USER_INPUT"


@pytest.mark.parametrize("number", [10_001, 2**31, 2**63, 2**80, -1, 1.5, "1", 10**400])
async def test_a_number_that_is_no_page_is_the_clients_mistake(client, number):
    query = 'query ($n: Int) { candles(symbol: "A", timeframe: "1m", first: $n) { nodes { open high low close } } }'

    assert (await client.refused(query, n=number))[0] == "BAD_USER_INPUT"


async def test_without_introspection_what_is_wrong_with_variables_suggests_no_names(db, feed, client):
    query = "query ($s: BotStatus) { bots(status: $s) { totalCount } }"
    async with Client(an_app(db, feed, limits=Limits(introspection=False))) as hidden:
        (_, told), (code, untold) = await client.refused(query, s="ACTIV"), await hidden.refused(query, s="ACTIV")

    assert "Did you mean" in told
    assert (code, "Did you mean" in untold, "ACTIVE" in untold) == ("BAD_USER_INPUT", False, False)


async def test_a_batch_is_refused(client):
    response = await client.http.post("/graphql", json=[{"query": ASKED}, {"query": ASKED}])

    assert (response.status_code, code(response.json())) == (400, "BAD_USER_INPUT")


async def test_deep_variables_are_the_clients_mistake(client):
    deep = b"[" * 50_000 + b"]" * 50_000
    body = b'{"query": "query ($x: String!) { botByName(name: $x) { id } }", "variables": {"x": %b}}' % deep
    response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, code(response.json())) == (400, "BAD_USER_INPUT")


async def test_a_storage_that_does_not_answer_holds_nobody_up(tmp_path):
    accounts = Accounts(1_000, f"redis+unix://{tmp_path}/nobody")

    with structlog.testing.capture_logs() as logs:
        remaining = [await accounts.charge("one", 900) for _ in range(3)]

    assert remaining == [0, 0, 0]
    assert [entry["log_level"] for entry in logs] == ["error"] * 3


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_step_of_the_clock_neither_holds_up_who_is_exhausted_nor_lets_him_on(monkeypatch, step):
    clock, monotonic = time.time, time.monotonic
    accounts = Accounts(1_000)
    await accounts.charge("one", 1_000)
    monkeypatch.setattr(time, "time", lambda: clock() + step)

    with pytest.raises(Exhausted) as exhausted:
        await accounts.charge("one", 1)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + exhausted.value.retry_after)

    assert 1 <= exhausted.value.retry_after <= 60
    assert await accounts.charge("one", 1) == 999


async def test_accounts_in_memory_are_bounded_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(rate, "_MOST", 3)
    accounts = Accounts(1_000)
    for client in ("one", "two", "three", "four"):
        await accounts.charge(client, 1_000)

    with pytest.raises(Exhausted):
        await accounts.charge("two", 1)

    assert await accounts.charge("one", 1) == 999
