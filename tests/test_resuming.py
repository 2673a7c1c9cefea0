"""Resuming as clients meet it (docs/resuming.md): over websockets, as server-sent events, and page by page."""

import httpx2
import msgspec
import pytest

from gql.cursors import BotCursor, LiveCursor, TapeCursor, decoded, encoded
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.conftest import a_database
from tests.gql_server import WAIT, Client, an_app, graphql_ws, running
from tests.test_epoch import GO_BACK, run, write
from tests.test_feed import BOT
from tests.test_gql_events import sse_events
from tests.test_gql_live import CANDLES, until_followed

pytestmark = pytest.mark.anyio

TRADES = """
subscription ($after: String, $snapshot: Int! = 0) {
  trades(symbol: "BTC-USDT", after: $after, snapshot: $snapshot) { cursor trades { tradeId } }
}
"""
WATCHED = 'subscription { watchCandles(series: [{symbol: "BTC-USDT", timeframe: "1m"}]) { kind } }'
BOTS = "subscription { bots { kind } }"
QUERIES = {"candles": CANDLES, "trades": TRADES}
FIELDS = "nodes { __typename } pageInfo { endCursor }"
PAGES = {
    "rawTrades": f'query ($after: String) {{ rawTrades(symbol: "BTC-USDT", first: 1, after: $after) {{ {FIELDS} }} }}',
    "bots": f"query ($after: String) {{ bots(first: 1, after: $after) {{ {FIELDS} }} }}",
    "candles": f"""query ($after: String) {{
      candles(symbol: "BTC-USDT", timeframe: "1m", first: 1, after: $after) {{ {FIELDS} }}
    }}""",
}


@pytest.fixture
async def app(db, feed):
    return an_app(db, feed)


@pytest.fixture
async def address(app):
    async with running(app) as address:
        yield address


@pytest.fixture
async def socket(address):
    async with graphql_ws(address) as socket:
        yield socket


@pytest.fixture
async def other(server_url):
    """An application on another database."""
    async with a_database(server_url) as url, DatabaseOperations(url) as db, Feed(db) as feed:
        yield db, an_app(db, feed)


async def cursors_of(socket) -> dict[str, str]:
    """Where both kinds of subscriptions stand now."""
    found = {}
    for kind, query in QUERIES.items():
        await socket.subscribe(query, name=kind, snapshot=1)
        found[kind] = (await socket.event(kind))[kind]["cursor"]
        await socket.complete(kind)
    return found


def beyond(cursors: dict[str, str]) -> dict[str, str]:
    """Where nobody can stand."""
    candles = decoded("", cursors["candles"], LiveCursor)
    trades = decoded("", cursors["trades"], TapeCursor)
    return {
        "candles": encoded(msgspec.structs.replace(candles, revision=2**62)),
        "trades": encoded(msgspec.structs.replace(trades, id=2**62)),
    }


async def expired(socket, name: str) -> str:
    """What the client is told of the operation of that name, which is its end."""
    message = await socket.receive()
    assert (message["id"], message["type"]) == (name, "error"), message
    [error] = message["payload"]
    assert error["extensions"] == {"code": "CURSOR_EXPIRED"}
    return error["message"]


async def test_a_cursor_from_beyond_what_is_stored_is_refused_and_the_others_hear_all(address, socket, db):
    await write(db, range(2))
    far = beyond(await cursors_of(socket))
    async with graphql_ws(address) as other:
        for kind, query in QUERIES.items():
            await socket.subscribe(query, name=kind, after=far[kind])
            assert await expired(socket, kind) == (
                "after: is a cursor from beyond what is stored: begin anew, with a snapshot"
            )
            await other.subscribe(query, name=kind, snapshot=1)
            await other.event(kind)
        await write(db, range(2, 3))
        heard = [await other.receive(), await other.receive()]

    candles, trades = (message["payload"]["data"] for message in sorted(heard, key=lambda message: message["id"]))
    assert candles["candles"]["kind"] == "CLOSED"
    assert trades["trades"]["trades"] == [{"tradeId": "2"}]


async def test_a_cursor_of_another_database_is_refused_however_it_is_asked(address, socket, db, other):
    elsewhere, its_app = other
    await write(db, range(3))
    await write(elsewhere, range(2))
    async with running(its_app) as its_address, graphql_ws(its_address) as its_socket:
        cursors = await cursors_of(its_socket)

    for kind, query in QUERIES.items():
        await socket.subscribe(query, name=kind, after=cursors[kind])
        told = await expired(socket, kind)
        async with httpx2.AsyncClient(timeout=WAIT, headers={"accept": "text/event-stream"}) as http:
            body = {"query": query, "variables": {"after": cursors[kind]}}
            response = await http.post(f"http://{address}/graphql", json=body)
        [event] = sse_events(response.text)

        assert told == (
            "after: is a cursor of another database, or of a state that this one lost: begin anew, with a snapshot"
        )
        assert [(error["message"], error["extensions"]) for error in event["errors"]] == [
            (told, {"code": "CURSOR_EXPIRED"})
        ]
        assert response.text.rstrip().endswith("event: complete\ndata:")


async def test_a_cursor_of_before_there_were_epochs_is_refused_likewise(socket, db):
    await write(db, range(2))
    for kind, cursor in (
        ("candles", ("l", "okx", "BTC-USDT", "1m", 1, None, None)),
        ("trades", ("t", "okx", "BTC-USDT", 1)),
    ):
        await socket.subscribe(QUERIES[kind], name=kind, after=encoded(cursor))
        await expired(socket, kind)


async def test_all_that_is_open_ends_when_the_database_is_an_older_copy_and_begins_anew(
    address, socket, db, feed, database_url
):
    await write(db, range(4))
    cursors = await cursors_of(socket)
    names = {"one": CANDLES, "two": CANDLES, "tape": TRADES, "other tape": TRADES}
    for name, query in names.items():
        await socket.subscribe(query, name=name, snapshot=0)
    await socket.subscribe(WATCHED, name="watched")
    await socket.event("watched")
    await socket.subscribe(BOTS, name="bots")
    async with httpx2.AsyncClient(timeout=WAIT, headers={"accept": "text/event-stream"}) as http:
        body = {"query": CANDLES, "variables": {"snapshot": 1}}
        async with http.stream("POST", f"http://{address}/graphql", json=body) as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "event: next"
            await until_followed(feed, by=7)

            await run(database_url, GO_BACK)
            feed._look_now.set()
            ended = {}
            for _ in range(6):
                message = await socket.receive()
                ended[message["id"]] = message["type"], message["payload"][0]["extensions"]["code"]
            rest = [line async for line in lines]

    assert ended == dict.fromkeys([*names, "watched", "bots"], ("error", "CURSOR_EXPIRED"))
    [_, event] = sse_events("\n".join(rest))
    assert event["errors"][0]["extensions"] == {"code": "CURSOR_EXPIRED"}
    assert rest[-3:-1] == ["event: complete", "data:"]
    await until_followed(feed, by=0)
    await write(db, range(10, 20))  # further than the cursors were
    for kind, query in QUERIES.items():
        await socket.subscribe(query, name=kind, after=cursors[kind])
        await expired(socket, kind)
    await socket.subscribe(CANDLES, name="one", snapshot=1)
    again = await socket.event("one")
    await write(db, range(20, 21))
    assert [again["candles"]["kind"], (await socket.event("one"))["candles"]["kind"]] == ["SNAPSHOT", "CLOSED"]


async def test_pages_go_on_in_their_own_database_alone_where_ids_are_their_keys(app, db, other):
    elsewhere, its_app = other
    for each in (db, elsewhere):
        await write(each, range(3))
        for name in ("One", "Two"):
            await each.bots.add(BOT | {"name": name})
    async with Client(app) as client, Client(its_app) as its_client:
        for name, query in PAGES.items():
            cursor = (await its_client.ask(query))[name]["pageInfo"]["endCursor"]
            assert len((await its_client.ask(query, after=cursor))[name]["nodes"]) == 1

            if name == "candles":  # a start is the same everywhere
                assert len((await client.ask(query, after=cursor))[name]["nodes"]) == 1
                continue
            code, message = await client.refused(query, after=cursor)

            assert (code, message) == (
                "CURSOR_EXPIRED",
                "after: is a cursor of another database, or of a state that this one lost: begin with the first page",
            )
        assert (await client.refused(PAGES["bots"], after=encoded(BotCursor(1))))[0] == "CURSOR_EXPIRED"
