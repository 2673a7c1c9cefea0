import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import repeat
from typing import TypeVar

import pytest
from limits import RateLimitItemPerSecond
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidURI

import collector.okx.session
import collector.okx.stream
from collector.okx.pace import Pace
from collector.okx.protocol import Arg, Malformed, Notice, Points, Pong, Refused, Subscribed, Trades, Unsubscribed
from collector.okx.simulator.clock import ManualClock
from collector.okx.simulator.faults import Answer
from collector.okx.simulator.server import Simulator
from collector.okx.simulator.sockets import Connection
from collector.okx.stream import Connected, Disconnected, OKXStream, StreamEvent

pytestmark = pytest.mark.anyio

ALL = Arg("trades-all", "BTC-USDT")
ETHER = Arg("trades-all", "ETH-USDT")
CANDLES = Arg("candle1m", "BTC-USDT")
PUBLIC, BUSINESS = "/ws/v5/public", "/ws/v5/business"
Events = AsyncGenerator[StreamEvent, None]
_T = TypeVar("_T")


def at_once() -> Iterator[float]:
    return repeat(0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_772_366_400_000)


@pytest.fixture
async def exchange(clock: ManualClock) -> AsyncIterator[Simulator]:
    async with Simulator(clock=clock, connections_per_second=100) as simulator:
        yield simulator


@asynccontextmanager
async def following(url: str, *args: Arg) -> AsyncIterator[tuple[OKXStream, Events]]:
    stream = OKXStream(url, args, pace=Pace(), delays=at_once)
    async with asyncio.timeout(10), aclosing(stream.events()) as events:
        yield stream, events


async def the_next(kind: type[_T], events: Events) -> _T:
    """The next event of this kind; those before it are passed over."""
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError("a stream has no end")


def connection_of(exchange: Simulator) -> Connection:
    (connection,) = exchange.connections.values()
    return connection


async def test_every_trade_after_the_acknowledgement_arrives_once_and_in_order(exchange, clock):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        first, second = await anext(events), await anext(events)
        latest = (await the_next(Trades, events)).records[-1].trade.trade_id
        received: list[int] = []
        began = clock()
        clock.advance(20_000)
        happened = [match.id for match in exchange.ledger("BTC-USDT", began + 1, clock() + 1)]
        while len(received) < len(happened):
            received += [record.trade.trade_id for record in (await the_next(Trades, events)).records]

    assert first == Connected()
    assert isinstance(second, Subscribed)
    assert second.arg == ALL
    assert received == happened
    assert received[0] == latest + 1


async def test_books_tickers_and_candles_arrive_as_points(exchange):
    public = [Arg("tickers", "BTC-USDT"), Arg("books5", "BTC-USDT")]

    async with following(exchange.ws_url + PUBLIC, *public) as (_, events):
        kinds = {(await the_next(Points, events)).arg for _ in range(2)}
    async with following(exchange.ws_url + BUSINESS, CANDLES) as (_, events):
        candles = await the_next(Points, events)

    assert kinds == set(public)
    assert candles.points[0].data["channel"] == "candle1m"


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


async def test_a_refused_arg_is_told_once_and_the_others_go_on(exchange):
    nonsense = Arg("trades-all", "NO-SUCH")

    async with following(exchange.ws_url + BUSINESS, nonsense, ALL) as (stream, events):
        refused = await the_next(Refused, events)
        await the_next(Trades, events)
        exchange.drop()
        await the_next(Connected, events)
        await the_next(Trades, events)
        pending = stream.session and stream.session.pending

    assert (refused.code, refused.arg) == ("60018", nonsense)
    assert pending == set()


async def test_trades_all_refused_by_a_message_without_its_name_is_found_out(exchange, clock):
    trades, tickers = Arg("trades", "BTC-USDT"), Arg("tickers", "BTC-USDT")

    async with following(exchange.ws_url + PUBLIC, trades, ALL, tickers) as (stream, events):
        unclear, clear = await the_next(Refused, events), await the_next(Refused, events)
        clock.advance(4_000)
        others = {(await the_next(Trades, events)).arg, (await the_next(Points, events)).arg}
        active = set(stream.session.active) if stream.session else set()

    assert (unclear.code, unclear.arg) == ("64001", None)
    assert (clear.code, clear.arg) == ("64001", ALL)
    assert others == active == {trades, tickers}


async def test_an_arg_refused_for_the_fee_tier_leaves_the_stream_without_connection_until_another_is_wanted(exchange):
    exchange.faults.answers.append(Answer("trades-all", "64003", "Your fee tier does not meet the requirement"))

    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        refused = await the_next(Refused, events)
        ended = await the_next(Disconnected, events)
        reconnected = asyncio.ensure_future(the_next(Connected, events))
        await exchange_without_connections(exchange)
        before = reconnected.done()
        await stream.subscribe(ETHER)
        await reconnected
        trades = await the_next(Trades, events)

    assert (refused.code, refused.arg) == ("64003", ALL)
    assert ended == Disconnected("nothing is wanted any more")
    assert not before
    assert trades.arg == ETHER


async def exchange_without_connections(exchange: Simulator) -> None:
    for connection in list(exchange.connections.values()):
        await connection.socket.wait_closed()


async def test_args_can_be_added_and_taken_away_while_connected(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Trades, events)

        await stream.subscribe(ETHER)
        added = await the_next(Subscribed, events)
        await stream.unsubscribe(ALL)
        taken = await the_next(Unsubscribed, events)
        subscribed = set(connection_of(exchange).subscriptions)
        exchange.drop()
        await the_next(Connected, events)
        again = await the_next(Subscribed, events)

    assert (added.arg, taken.arg, again.arg) == (ETHER, ALL, ETHER)
    assert subscribed == {("trades-all", "ETH-USDT")}


async def test_what_is_wanted_before_connecting_is_asked_for_on_connecting(exchange):
    async with following(exchange.ws_url + BUSINESS) as (stream, events):
        await stream.subscribe(ALL, ETHER)
        await stream.unsubscribe(ETHER)

        subscribed = await the_next(Subscribed, events)

    assert subscribed.arg == ALL


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


async def test_a_malformed_frame_is_told_and_the_connection_goes_on(exchange, clock):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        exchange.faults.malformed = 1
        clock.advance(4_000)
        malformed = await the_next(Malformed, events)
        after = await anext(events)

    assert malformed.text.startswith('{"arg"')
    assert isinstance(after, Trades)


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


async def test_a_request_waits_for_its_place_in_the_exchanges_limits(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.stream, "REQUESTS", RateLimitItemPerSecond(1))
    time = asyncio.get_running_loop().time

    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Subscribed, events)
        began = time()
        await stream.subscribe(ETHER)
        asked = time()

    assert 0.5 < asked - began < 5


def test_an_address_that_is_none_is_refused_at_once():
    with pytest.raises(InvalidURI):
        OKXStream("https://ws.okx.com", pace=Pace())
