import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from websockets.asyncio.server import ServerConnection, serve

import collector.okx.session
import collector.okx.stream
from collector.okx.pace import Pace
from collector.okx.protocol import Notice, Pong, Subscribed, Trades
from collector.okx.simulator.server import Simulator
from collector.okx.stream import TOGETHER, Connected, Disconnected, OKXStream
from tests.simulated import an_exchange
from tests.streams import ALL, BUSINESS, ETHER, connection_of, following, the_next

pytestmark = pytest.mark.anyio


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with an_exchange() as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("code", "reason"),
    [(4004, "received 4004 (private use)"), (1001, "received 1001 (going away)"), (None, "no close frame")],
)
async def test_a_lost_connection_is_opened_again_and_subscribes_again(exchange, code, reason):
    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Trades, events)

        exchange.drop(code=code)
        lost = await the_next(Disconnected, events)
        session = stream.session
        following_events = [await anext(events), await anext(events)]
        await the_next(Trades, events)

    assert reason in lost.reason
    assert session is None
    assert [type(event) for event in following_events] == [Connected, Subscribed]


async def test_an_attempt_that_fails_is_told_and_repeated(exchange):
    exchange.faults.refused = 2

    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        failures = [await anext(events), await anext(events)]
        opened = await anext(events)

    assert failures == [Disconnected("InvalidStatus: server rejected WebSocket connection: HTTP 503")] * 2
    assert opened == Connected()


async def test_an_exchange_that_is_not_there_is_told():
    async with serve(_hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

    async with following(f"ws://127.0.0.1:{port}", ALL) as (_, events):
        failure = await anext(events)

    assert isinstance(failure, Disconnected)
    assert failure.reason.startswith("ConnectionRefusedError")


async def _hang_up(socket: ServerConnection) -> None:
    await socket.close()


async def test_subscribing_on_a_connection_that_just_broke_waits_for_the_next(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Trades, events)
        connection = connection_of(exchange)

        exchange.drop(code=1001)
        await connection.socket.wait_closed()
        await stream.subscribe(ETHER)
        await the_next(Connected, events)
        both = {(await the_next(Subscribed, events)).arg for _ in range(2)}

    assert both == {ALL, ETHER}


async def test_an_announced_upgrade_leads_to_a_new_connection_at_once(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)

        exchange.announce_upgrade()
        notice = await the_next(Notice, events)
        ended = await the_next(Disconnected, events)
        await the_next(Trades, events)

    assert notice.code == "64008"
    assert ended == Disconnected("the exchange announced its end")


async def test_pings_are_answered(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.session, "PING_EVERY", 0.05)

    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Pong, events)
        await the_next(Pong, events)


async def test_a_connection_that_answers_no_ping_is_given_up(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.session, "PING_EVERY", 0.05)
    monkeypatch.setattr(collector.okx.session, "PONG_WITHIN", 0.1)
    monkeypatch.setattr(collector.okx.stream, "CLOSE_TIMEOUT", 0.05)

    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        connection_of(exchange).faults.half_open = True
        lost = await the_next(Disconnected, events)
        await the_next(Trades, events)

    assert lost.reason.startswith("TimeoutError: no pong within")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("x" * (2**20 + 1), "1009", id="too long"),
        pytest.param(b"\xff", "1007", id="no text"),
    ],
)
async def test_a_message_that_cannot_be_taken_ends_the_connection(message, reason):
    async def send(socket: ServerConnection) -> None:
        await socket.send(message)
        await socket.wait_closed()

    async with serve(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with following(f"ws://127.0.0.1:{port}", ALL) as (_, events):
            lost = await the_next(Disconnected, events)

    assert reason in lost.reason


async def test_what_came_before_the_message_that_ends_a_connection_is_told(exchange):
    async def send(socket: ServerConnection) -> None:
        for message in [*["pong"] * 250, b"\xff"]:
            await socket.send(message)
        await socket.wait_closed()

    async with serve(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with following(f"ws://127.0.0.1:{port}", ALL) as (_, events):
            connected, *told, lost = [await anext(events) for _ in range(252)]

    assert (connected, told) == (Connected(), [Pong()] * 250)
    assert "1007" in lost.reason


async def test_a_backlog_of_frames_leaves_others_their_turn():
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def send(socket: ServerConnection) -> None:
        socket.transport.write(b"\x81\x04pong" * 5_000)  # all at once, as text frames
        await socket.wait_closed()

    async with serve(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with following(f"ws://127.0.0.1:{port}", ALL) as (_, events):
            await the_next(Pong, events)
            counting = asyncio.create_task(count_turns())
            for _ in range(4_999):
                await the_next(Pong, events)
            counting.cancel()

    assert turns >= 5_000 / TOGETHER - 1


async def test_cancelling_closes_the_connection(exchange):
    connected = asyncio.Event()

    async def follow() -> None:
        async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
            await the_next(Trades, events)
            connected.set()
            async for _ in events:
                pass

    task = asyncio.create_task(follow())
    await connected.wait()
    connection = connection_of(exchange)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await connection.socket.wait_closed()
    assert connection.socket.close_code == 1000


async def test_waits_grow_until_a_connection_was_stable(exchange, monkeypatch):
    begun = []

    def counted() -> Iterator[float]:
        begun.append(0)
        while True:
            begun[-1] += 1
            yield 0.0

    exchange.faults.refused = 1
    stream = OKXStream(exchange.ws_url + BUSINESS, [ALL], pace=Pace(), delays=counted)
    async with asyncio.timeout(10), aclosing(stream.events()) as events:
        await the_next(Connected, events)
        unstable = list(begun)
        monkeypatch.setattr(collector.okx.stream, "STABLE_AFTER", 0.0)
        exchange.drop()
        await the_next(Connected, events)

    assert unstable == [1]
    assert begun == [1, 1]
