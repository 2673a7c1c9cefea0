import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import islice

import pytest
from websockets.asyncio.server import ServerConnection, serve

import collector.okx.connection
import collector.okx.session
import collector.okx.stream
from collector.okx.connection import TOGETHER
from collector.okx.protocol import Notice, Pong, Refused, Subscribed, Trades
from collector.okx.simulator.faults import Answer
from collector.okx.simulator.server import Simulator
from collector.okx.stream import Connected, Disconnected, OKXStream
from tests.simulated import NOON, PATIENCE, an_exchange
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


async def test_another_connection_is_subscribed_before_one_whose_end_is_announced_goes():
    async with Simulator(rate=64) as exchange, following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        before = connection_of(exchange)

        exchange.announce_upgrade()
        told = [await anext(events) for _ in range(100)]
        after = connection_of(exchange)

    ids = [record.trade.trade_id for event in told if isinstance(event, Trades) for record in event.records]
    assert {type(event) for event in told} - {Pong} == {Trades, Notice, Connected, Subscribed}
    assert sorted(set(ids)) == list(range(min(ids), max(ids) + 1))
    assert after is not before
    assert before.socket.close_code == 1000


async def test_a_connection_serves_on_while_the_exchange_refuses_another(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        exchange.faults.refused = 3
        exchange.announce_upgrade()
        await the_next(Notice, events)
        exchange.clock.advance(20_000)
        trades = await the_next(Trades, events)
        refused = exchange.faults.refused
        after = await the_next(Connected, events)

    assert isinstance(trades, Trades)
    assert refused > 0
    assert after == Connected()


async def test_another_connection_that_breaks_before_it_takes_over_is_followed_by_a_third(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.session, "PING_EVERY", 0.02)
    unanswered = Answer("trades-all", "64007")

    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        exchange.faults.answers.append(unanswered)
        exchange.announce_upgrade()
        while unanswered.times:
            await the_next(Pong, events)
        _, second = exchange.connections.values()
        second.socket.transport.abort()
        told = [await anext(events)]
        while not isinstance(told[-1], Connected):
            told.append(await anext(events))
        await the_next(Trades, events)
        third = connection_of(exchange)

    assert Disconnected not in map(type, told)
    assert third is not second


async def test_an_arg_refused_while_another_connection_is_prepared_is_told_when_that_takes_over(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL, ETHER) as (_, events):
        await the_next(Trades, events)
        exchange.faults.answers.append(
            Answer("trades-all", "64003", "channel:trades-all,instId:BTC-USDT is not for you")
        )
        exchange.announce_upgrade()
        await the_next(Connected, events)
        refused = await the_next(Refused, events)
        exchange.drop()
        await the_next(Connected, events)
        again = await the_next(Subscribed, events)

    assert (refused.arg, again.arg) == (ALL, ETHER)


async def test_a_connection_that_ends_before_another_is_ready_is_told(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        exchange.faults.refused = 1_000_000
        exchange.announce_upgrade(delay=0)
        lost = await the_next(Disconnected, events)
        failed = await the_next(Disconnected, events)
        exchange.faults.refused = 0
        await the_next(Trades, events)

    assert "received 1001 (going away)" in lost.reason
    assert "HTTP 503" in failed.reason


async def test_a_connection_takes_over_even_if_an_arg_gets_no_answer(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.stream, "SUBSCRIBED_WITHIN", 0.0)
    exchange.faults.answers.append(Answer("trades-all", "64007", times=1_000))

    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Refused, events)
        exchange.announce_upgrade()
        await the_next(Notice, events)
        again = await the_next(Connected, events)

    assert again == Connected()


async def test_a_connection_that_is_given_up_serves_until_another_took_over(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Trades, events)
        before = connection_of(exchange)

        stream.reconnect()
        exchange.clock.advance(4_000)
        told = [await anext(events)]
        while not isinstance(told[-1], Connected):
            told.append(await anext(events))
        await the_next(Subscribed, events)
        latest = await the_next(Trades, events)
        after = connection_of(exchange)

    assert Disconnected not in map(type, told)
    assert latest.records[-1].trade.trade_id == exchange.ledger("BTC-USDT", NOON, exchange.clock() + 1)[-1].id
    assert after is not before


async def test_what_is_wanted_while_another_connection_is_prepared_is_asked_for_on_it(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Trades, events)
        exchange.announce_upgrade()
        await the_next(Notice, events)
        await stream.subscribe(ETHER)
        await stream.unsubscribe(ALL)
        await the_next(Connected, events)
        while stream.session is None or stream.session.pending:
            await anext(events)
        subscriptions = set(connection_of(exchange).subscriptions)

    assert subscriptions == {("trades-all", "ETH-USDT")}


async def test_giving_up_no_connection_does_nothing(exchange):
    async with following(exchange.ws_url + BUSINESS) as (stream, _):
        stream.reconnect()

        assert stream.session is None


async def test_pings_are_answered(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.session, "PING_EVERY", 0.05)

    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Pong, events)
        await the_next(Pong, events)


async def test_a_connection_that_answers_no_ping_is_given_up(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.session, "PING_EVERY", 0.05)
    monkeypatch.setattr(collector.okx.session, "PONG_WITHIN", 0.1)
    monkeypatch.setattr(collector.okx.connection, "CLOSE_TIMEOUT", 0.05)

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
    async with asyncio.timeout(PATIENCE):
        await connection.socket.wait_closed()
    assert connection.socket.close_code == 1000


def test_reconnects_wait_at_random_and_ever_longer():
    several = [list(islice(collector.okx.stream._quickly_at_first(), 10)) for _ in range(50)]

    for number, longest in enumerate([1, 1, 2, 4, 8, 16, 30, 30, 30, 30]):
        waits = [delays[number] for delays in several]
        assert max(waits) <= longest
        assert len(set(waits)) == 50
        assert number == 0 or min(waits) >= longest / 2.1


async def test_waits_grow_until_a_connection_was_stable(exchange, monkeypatch):
    begun = []

    def counted() -> Iterator[float]:
        begun.append(0)
        while True:
            begun[-1] += 1
            yield 0.0

    exchange.faults.refused = 1
    stream = OKXStream(exchange.ws_url + BUSINESS, [ALL], delays=counted)
    async with asyncio.timeout(PATIENCE), aclosing(stream.events()) as events:
        await the_next(Connected, events)
        await the_next(Subscribed, events)
        monkeypatch.setattr(collector.okx.stream, "STABLE_AFTER", 0.0)
        exchange.drop()
        await the_next(Connected, events)
        unstable = list(begun)
        await the_next(Subscribed, events)
        exchange.drop()
        await the_next(Connected, events)

    assert unstable == [2]
    assert begun == [2, 1]
