"""Who may do what, over every transport."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from gql import auth
from gql.auth import Access, Anonymous, Caller
from gql.errors import Refused, Unauthenticated
from gql.roles import BOTS, MARKET_DATA, Role
from gql.schema import schema
from tests.builders import NOON
from tests.gql_server import WAIT, Client, Socket, an_app, graphql_ws, running
from tests.test_gql_live import CANDLES

pytestmark = pytest.mark.anyio

QUERY = "{ markets { symbol } }"
CREATE = """mutation { createBot(input: {name: "b", strategyName: "s", symbol: "BTC-USDT", timeframe: "1m",
    virtualBalance: "1"}) { bot { id } } }"""
HEARTBEAT = 'mutation { recordHeartbeat(botId: "1") { bot { id } } }'
UPSERT = """mutation { upsertCandle(input: {symbol: "BTC-USDT", timeframe: "1m", startTime: "2024-01-01T00:00:00Z",
    open: "1", high: "1", low: "1", close: "1", volume: "1", tradeCount: 1}) { stored } }"""
RAW = 'mutation { insertRawWebsocketData(input: {symbol: "X", dataType: "y", rawData: {}}) { stored } }'


@asynccontextmanager
async def following(access):
    """`access` hears of changes while this lasts."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(access.run())
        yield access
        task.cancel()


@pytest.fixture
async def access(db, monkeypatch):
    """Access by keys alone, which learns quickly what becomes of them."""
    monkeypatch.setattr(auth, "INTERVAL", 0.01)
    async with following(Access(db.keys, anonymous=Anonymous.REFUSED)) as access:
        yield access


@pytest.fixture
async def app(db, feed, access):
    return an_app(db, feed, access=access)


@pytest.fixture
async def address(app):
    async with running(app) as address:
        yield address


@pytest.fixture
async def bearer(db):
    """Makes a key of a role, or with an end; the value of the header for it."""

    async def make(role="viewer", expires_at=None, name=None):
        _, secret = await db.keys.create(name or f"a {role}", role, expires_at)
        return f"Bearer {secret}"

    return make


def a_client(app, authorization):
    return Client(app, **({} if authorization is None else {"authorization": authorization}))


async def status_and_codes(client, query, **more):
    response = await client.http.post("/graphql", json={"query": query, **more})
    return response.status_code, [error["extensions"]["code"] for error in response.json().get("errors", ())]


async def until(condition):
    async with asyncio.timeout(WAIT):
        while not await condition():
            await asyncio.sleep(0.01)


def test_every_mutation_is_given_to_a_role():
    assert schema.mutation is not None
    assert set(schema._schema.mutation_type.fields) == BOTS | MARKET_DATA


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {QUERY}),
        (Role.TRADER, {QUERY, CREATE, HEARTBEAT}),
        (Role.COLLECTOR, {QUERY, UPSERT, RAW}),
        (Role.ADMIN, {QUERY, CREATE, HEARTBEAT, UPSERT, RAW}),
    ],
)
async def test_a_role_may_do_its_own_and_nothing_else_over_http_and_websockets(app, address, bearer, role, allowed):
    authorization = await bearer(role)
    over_http, over_socket = set(), set()

    async with a_client(app, authorization) as client:
        for query in (QUERY, CREATE, HEARTBEAT, UPSERT, RAW):
            answered = await status_and_codes(client, query)
            assert answered in ((200, []), (403, ["FORBIDDEN"])), answered
            over_http |= {query} if answered[0] == 200 else set()
    async with graphql_ws(address, {"Authorization": authorization}) as socket:
        for query in (QUERY, CREATE.replace('"b"', '"c"'), HEARTBEAT, UPSERT, RAW):
            await socket.subscribe(query)
            message = await socket.receive()
            if message["type"] == "next":
                over_socket.add(query.replace('"c"', '"b"'))
                assert (await socket.receive())["type"] == "complete"
            else:
                [error] = message["payload"]
                assert (message["type"], error["extensions"]["code"]) == ("error", "FORBIDDEN")
        await socket.subscribe(CANDLES, snapshot=0)  # and the connection goes on

    assert over_http == over_socket == allowed


async def test_the_name_of_a_type_is_whoever_may_run_the_fields_beside_it(app, bearer):
    create, upsert = (text.replace("mutation {", "mutation { __typename kind: __typename") for text in (CREATE, UPSERT))
    async with a_client(app, await bearer("trader")) as client:
        allowed = await client.post(create)
        forbidden = await status_and_codes(client, upsert)

    assert allowed["data"]["__typename"] == allowed["data"]["kind"] == "Mutation"
    assert "errors" not in allowed
    assert forbidden == (403, ["FORBIDDEN"])


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(CREATE.replace("mutation {", f"mutation {{ {UPSERT[10:-1]}"), id="beside what may be"),
        pytest.param(
            "mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { ... { "
            + UPSERT[10:-1]
            + " } }",
            id="in a fragment",
        ),
        pytest.param(UPSERT.replace("upsertCandle(", "createBot: upsertCandle("), id="under another name"),
        pytest.param(UPSERT.replace(") { stored", ") @skip(if: true) { stored"), id="skipped"),
    ],
)
async def test_what_is_forbidden_is_found_wherever_it_stands_and_nothing_of_it_runs(app, db, bearer, document):
    async with a_client(app, await bearer("trader")) as client:
        answered = await status_and_codes(client, document)

    assert answered == (403, ["FORBIDDEN"])
    assert await db.bots.get_by_name("b") is None
    assert await db.market_data.get_latest_candle("BTC-USDT", "1m") is None


async def test_of_several_operations_the_one_that_is_asked_for_counts(app, bearer):
    document = f"query A {QUERY} mutation B {UPSERT[8:]}"
    async with a_client(app, await bearer("viewer")) as client:
        query = await status_and_codes(client, document, operationName="A")
        mutation = await status_and_codes(client, document, operationName="B")

    assert (query, mutation) == ((200, []), (403, ["FORBIDDEN"]))


async def test_without_a_key_only_health_and_the_page_are_open_where_one_is_wanted(app, bearer):
    events = {"accept": "text/event-stream"}
    async with a_client(app, None) as client:
        refused = [
            await client.http.post("/graphql", json={"query": QUERY}),
            await client.http.post("/graphql", json={"query": "{"}),
            await client.http.post("/graphql", json={"query": CANDLES}, headers=events),
            await client.http.get("/graphql", params={"query": QUERY}),
            await client.http.get("/metrics"),
        ]
        opened = [
            await client.http.get("/healthz"),
            await client.http.get("/readyz"),
            await client.http.get("/graphql", headers={"accept": "text/html"}),
        ]
    async with a_client(app, await bearer("viewer")) as client:
        opened.append(await client.http.get("/metrics"))

    for response in refused:
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert [response.status_code for response in opened] == [200] * 4


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Basic dTpw",
        "Bearer cql_",
        "Bearer cql_" + "A" * 43,
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "ü",
    ],
)
async def test_a_wrong_credential_is_refused_even_where_none_is_wanted(db, feed, authorization):
    app = an_app(db, feed, access=Access(db.keys))
    async with running(app) as address, httpx2.AsyncClient(timeout=WAIT) as http:
        answered = [
            await http.post(
                f"http://{address}/graphql",
                json={"query": query},
                headers={"authorization": authorization.encode("latin-1"), "accept": accept},
            )
            for query, accept in ((QUERY, "application/json"), (CANDLES, "text/event-stream"))
        ]
        closed = await refused_at_init(address, {"authorization": authorization})
        fine = await http.post(f"http://{address}/graphql", json={"query": CREATE})

    for response in answered:
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert closed == 4403
    assert "errors" not in fine.json()


async def refused_at_init(address, payload, **options):
    """The code that a websocket is closed with before it is welcomed."""
    async with connect(f"ws://{address}/graphql", subprotocols=["graphql-transport-ws"], **options) as connection:
        client = Socket(connection)
        await client.send(type="connection_init", payload=payload)
        return await client.closed()


async def test_a_websocket_brings_its_key_in_connection_init_or_in_the_handshake(address, bearer):
    key = await bearer()
    for payload, headers in (
        ({"Authorization": key}, {}),
        ({"authorization": key}, {}),
        (None, {"Authorization": key}),
        ({"other": 1}, {"Authorization": key}),
        ({"Authorization": key}, {"Authorization": "Bearer cql_wrong"}),
    ):
        async with graphql_ws(address, payload, additional_headers=headers) as socket:
            await socket.subscribe(QUERY)
            assert await socket.event() == {"markets": [{"symbol": "BTC-USDT"}]}


@pytest.mark.parametrize("payload", [None, {}, {"Authorization": 1}, {"Authorization": ""}])
async def test_a_websocket_without_a_good_key_is_closed_with_4403(address, payload):
    assert await refused_at_init(address, payload) == 4403


async def test_a_key_that_is_no_text_closes_its_websocket_too(address):
    assert await refused_at_init(address, {"Authorization": "Bearer cql_\ud800"}) in (4400, 4403)


async def test_a_new_key_is_good_at_once_and_those_who_try_keys_cost_little(db, bearer, monkeypatch):
    reads, live = [], db.keys.live
    monkeypatch.setattr(db.keys, "live", lambda: reads.append(1) or live())
    access = Access(db.keys, anonymous=Anonymous.REFUSED)
    await access.read()
    key = await bearer("trader")

    caller = await access.caller(key, "1.2.3.4")
    tried = await asyncio.gather(*(access.caller(f"Bearer cql_{n}", "") for n in range(50)), return_exceptions=True)

    assert caller == Caller(Role.TRADER, "a trader", 1, None, "1.2.3.4")
    assert {type(error) for error in tried} == {Unauthenticated}
    assert len(reads) == 3


async def test_a_new_key_is_good_at_once_while_others_are_tried_all_the_time(db, bearer):
    access = Access(db.keys, anonymous=Anonymous.REFUSED)

    async def guess() -> None:
        while True:
            with suppress(Unauthenticated):
                await access.caller("Bearer cql_wrong", "6.6.6.6")

    guessing = [asyncio.create_task(guess()) for _ in range(5)]
    with suppress(Unauthenticated):
        await access.caller("Bearer cql_wrong", "6.6.6.6")
    roles = [Role.VIEWER, Role.TRADER, Role.COLLECTOR, Role.ADMIN]
    callers = [await access.caller(await bearer(role.value), "1.2.3.4") for role in roles]
    for task in guessing:
        task.cancel()
    await asyncio.wait(guessing)

    assert [caller.role for caller in callers] == roles
    assert access.refusals > 5


async def test_wrong_credentials_are_counted_and_told_without_the_secret_but_not_each(db, feed):
    app = an_app(db, feed, access=Access(db.keys))
    async with a_client(app, "Bearer cql_secret") as stranger, a_client(app, None) as fine:
        with capture_logs() as logged:
            for _ in range(5):
                await stranger.post(QUERY)
        await fine.ask(QUERY)
        metrics = (await fine.http.get("/metrics")).text

    assert logged == [
        {
            "event": "A credential was refused",
            "log_level": "warning",
            "address": "127.0.0.1",
            "reason": "This API key is unknown, expired or revoked",
            "refusals": 1,
        }
    ]
    assert "candleql_refused_credentials_total 5.0" in metrics


async def test_a_known_key_waits_for_nothing(db, bearer):
    access = Access(db.keys, anonymous=Anonymous.REFUSED)
    key = await bearer()
    await access.read()

    with pytest.raises(StopIteration) as answered:
        access.caller(key, "").send(None)  # what does not suspend ends at its first step

    assert answered.value.value.role is Role.VIEWER


async def test_known_keys_count_while_the_database_is_away_but_not_beyond_their_end(db, bearer, monkeypatch):
    monkeypatch.setattr(auth, "INTERVAL", 0.01)
    monkeypatch.setattr(auth, "_PAUSE", 0.0)
    access = Access(db.keys, anonymous=Anonymous.REFUSED)
    known = await bearer()
    ending = await bearer("trader", datetime.now(UTC) + timedelta(seconds=1))
    await access.read()
    await db.close()

    async def ended():
        try:
            await access.caller(ending, "")
        except Refused:
            return True
        return False

    async with following(access):
        await until(ended)

    assert (await access.caller(known, "")).name == "a viewer"


async def test_a_key_that_can_not_be_looked_up_is_a_matter_of_the_database(db, feed, bearer, monkeypatch):
    app = an_app(db, feed, access=Access(db.keys))
    key = await bearer()
    await db.close()
    async with running(app) as address, a_client(app, key) as client:
        answered = await status_and_codes(client, QUERY)
        closed = await refused_at_init(address, {"Authorization": key})

    assert answered == (503, ["DATABASE_UNAVAILABLE"])
    assert closed == 1013


@pytest.mark.parametrize(
    ("caller", "account"),
    [
        (Caller(Role.ADMIN, "a", key_id=3, address="192.0.2.1"), "key 3"),
        (Caller(Role.ADMIN, "ada", expires_at=NOON, address="192.0.2.1"), "token ada"),
        (Caller(Role.ADMIN, "anonymous", address="192.0.2.1"), "192.0.2.1"),
        (Caller(Role.ADMIN, "anonymous", address="::ffff:192.0.2.1"), "192.0.2.1"),
        (Caller(Role.ADMIN, "anonymous", address="2001:db8::17"), "2001:0db8:0000:0000"),
        (Caller(Role.ADMIN, "anonymous"), ""),
    ],
)
def test_the_account_is_the_credentials_or_that_of_a_network_in_which_addresses_can_be_made_up(caller, account):
    assert caller.account == account


async def test_an_anonymous_caller_of_an_open_server_may_do_everything(db, feed):
    access = Access(db.keys)

    caller = await access.caller(None, "127.0.0.1")

    assert caller == Caller(Role.ADMIN, "anonymous", address="127.0.0.1")
