"""Credentials that come to their end, and what is open then."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from gql import auth, sockets
from gql.auth import Access, Anonymous
from gql.errors import Unauthenticated
from gql.limits import Limits
from tests.builders import MINUTE, NOON, a_candle
from tests.gql_server import WAIT, an_app, graphql_ws, running
from tests.test_auth import (
    CREATE,
    QUERY,
    a_client,
    access,
    address,
    app,
    bearer,
    following,
    refused_at_init,
    status_and_codes,
    until,
)
from tests.test_gql_live import CANDLES, told, until_followed
from tests.test_gql_shared import LONG, all_of, members, small, until_shared

pytestmark = pytest.mark.anyio
__all__ = ["access", "address", "app", "bearer", "small"]


async def test_a_revoked_key_is_refused_and_ends_each_running_operation_and_its_socket_alone(
    app, address, db, feed, bearer
):
    lost, kept = await bearer("viewer", name="lost"), await bearer("viewer", name="kept")
    async with (
        graphql_ws(address, {"Authorization": lost}) as socket,
        graphql_ws(address, {"Authorization": kept}) as other,
    ):
        await socket.subscribe(CANDLES, "shared", snapshot=0)
        await socket.subscribe(CANDLES, "shared too", snapshot=0)
        await socket.subscribe("subscription { bots { kind } }", "alone")
        await other.subscribe(CANDLES, "1", snapshot=0)
        await until_followed(feed, by=4)

        await db.keys.revoke("lost")
        messages = [await socket.receive() for _ in range(3)]
        closed = await socket.closed()

        await until_followed(feed, by=1)
        await db.market_data.upsert_candle(a_candle())
        event = await other.event("1")
    async with a_client(app, lost) as client:
        answered = await status_and_codes(client, QUERY)

    assert {message["id"]: message["type"] for message in messages} == dict.fromkeys(
        ("shared", "shared too", "alone"), "error"
    )
    assert {message["payload"][0]["extensions"]["code"] for message in messages} == {"UNAUTHENTICATED"}
    assert closed == 4403
    assert told(event)[0] == "CLOSED"
    assert answered == (401, ["UNAUTHENTICATED"])


async def test_a_key_holds_a_bounded_number_of_sockets_and_streams(db, feed, access, bearer):
    key, other = await bearer("viewer", name="greedy"), await bearer("viewer", name="modest")
    app = an_app(db, feed, access=access, limits=Limits(sockets=2))
    asking = {"json": {"query": CANDLES, "variables": {"snapshot": 0}}, "headers": {"accept": "text/event-stream"}}
    async with running(app) as address, httpx2.AsyncClient(base_url=f"http://{address}", timeout=WAIT) as http:
        asking["headers"]["authorization"] = key
        async with graphql_ws(address, {"Authorization": key}) as socket:
            async with http.stream("POST", "/graphql", **asking) as stream:
                assert stream.status_code == 200
                closed = await refused_at_init(address, {"Authorization": key})
                refused = await http.post("/graphql", **asking)
                async with graphql_ws(address, {"Authorization": other}):
                    pass
            await until_followed(feed, by=0)
            async with graphql_ws(address, {"Authorization": key}):
                assert await refused_at_init(address, {"Authorization": key}) == 1013
            await socket.subscribe(QUERY)
            await socket.event()

    assert closed == 1013
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")


async def test_an_expired_key_ends_sockets_and_streams(address, feed, bearer):
    key = await bearer("viewer", datetime.now(UTC) + timedelta(seconds=1))
    async with graphql_ws(address, {"Authorization": key}) as socket, httpx2.AsyncClient(timeout=WAIT) as http:
        await socket.subscribe(CANDLES, snapshot=0)
        async with http.stream(
            "POST",
            f"http://{address}/graphql",
            json={"query": CANDLES},
            headers={"accept": "text/event-stream", "authorization": key},
        ) as response:
            lines = [line async for line in response.aiter_lines()]
        message, closed = await socket.receive(), await socket.closed()

    assert [line for line in lines if line.startswith("event")] == ["event: next", "event: complete"]
    last = json.loads(next(line for line in lines if line.startswith("data"))[6:])
    assert (last.get("data"), last["errors"][0]["extensions"]["code"]) == (None, "UNAUTHENTICATED")
    assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert closed == 4403
    await until_followed(feed, by=0)


async def test_who_does_not_read_is_cut_off_too(app, address, db, feed, bearer, small, monkeypatch):
    monkeypatch.setattr(sockets, "_CLOSING", 0)
    shared = app.graphql.service.broadcasts._running
    async with graphql_ws(address, {"Authorization": await bearer(name="lost")}, **small) as socket:
        await socket.subscribe(CANDLES, LONG, snapshot=0)
        await until_shared(shared, feed, by=1)
        socket.connection.transport.pause_reading()
        start = NOON
        while members(shared):
            start += 10 * MINUTE
            await db.market_data.upsert_candles([a_candle(start_time=start + n * MINUTE) for n in range(10)])
        await db.keys.revoke("lost")
        await until_followed(feed, by=0)
        for _ in range(10):
            await asyncio.sleep(0)
        socket.connection.transport.resume_reading()

        with pytest.raises(ConnectionClosed) as closed:
            await all_of(socket)

    assert closed.value.rcvd is None  # without a word, as it would not have been read


async def test_the_first_key_closes_an_open_server_and_no_end_of_a_key_opens_it_again(db, feed, bearer, monkeypatch):
    monkeypatch.setattr(auth, "INTERVAL", 0.01)
    async with following(Access(db.keys, anonymous=Anonymous.UNTIL_A_KEY)) as access:
        await access.read()
        app = an_app(db, feed, access=access)
        async with running(app) as address, a_client(app, None) as client, graphql_ws(address) as socket:
            before = await status_and_codes(client, CREATE)
            await socket.subscribe(CANDLES, snapshot=0)
            await bearer(name="first")
            message, closed = await socket.receive(), await socket.closed()
            await db.keys.revoke("first")
            again = Access(db.keys, anonymous=Anonymous.UNTIL_A_KEY)
            await again.read()
            after = await status_and_codes(client, QUERY)

    assert before == (200, [])
    assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert closed == 4403
    assert after == (401, ["UNAUTHENTICATED"])
    with pytest.raises(Unauthenticated):
        await again.caller(None, "")


async def test_the_use_of_a_key_and_an_open_connection_are_noted(app, address, db, bearer):
    used, connected, _ = [await bearer(name=name) for name in ("used", "connected", "unused")]

    async def noted():
        return [key.name for key in await db.keys.all() if key.last_used_at is not None] == ["used", "connected"]

    async with graphql_ws(address, {"Authorization": connected}), a_client(app, used) as client:
        await client.ask(QUERY)
        await until(noted)
