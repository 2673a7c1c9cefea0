import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidURI

import collector.okx.connection
import collector.okx.session
from collector.okx.pace import Limit
from collector.okx.protocol import Arg, Malformed, Points, Refused, Subscribed, Trades, Unsubscribed
from collector.okx.simulator.faults import Answer
from collector.okx.simulator.server import Simulator
from collector.okx.stream import Connected, Disconnected, OKXStream
from tests.simulated import an_exchange
from tests.streams import ALL, BUSINESS, ETHER, PUBLIC, connection_of, following, the_next

pytestmark = pytest.mark.anyio


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with an_exchange() as simulator:
        yield simulator


async def test_every_trade_after_the_acknowledgement_arrives_once_and_in_order(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        first, second = await anext(events), await anext(events)
        latest = (await the_next(Trades, events)).records[-1].trade.trade_id
        received: list[int] = []
        began = exchange.clock()
        exchange.clock.advance(20_000)
        happened = [match.id for match in exchange.ledger("BTC-USDT", began + 1, exchange.clock() + 1)]
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
    async with following(exchange.ws_url + BUSINESS, Arg("candle1m", "BTC-USDT")) as (_, events):
        candles = await the_next(Points, events)

    assert kinds == set(public)
    assert candles.points[0].data["channel"] == "candle1m"


async def test_an_unknown_symbol_is_asked_for_at_each_connection_and_the_others_go_on(exchange):
    nonsense = Arg("trades-all", "NO-SUCH")

    async with following(exchange.ws_url + BUSINESS, nonsense, ALL) as (stream, events):
        refused = await the_next(Refused, events)
        await the_next(Trades, events)
        exchange.drop()
        await the_next(Connected, events)
        again = await the_next(Refused, events)
        await the_next(Trades, events)
        pending = stream.session and stream.session.pending

    assert (refused.code, refused.arg) == (again.code, again.arg) == ("60018", nonsense)
    assert pending == set()


async def test_trades_all_refused_by_a_message_without_its_name_is_found_out(exchange):
    trades, tickers = Arg("trades", "BTC-USDT"), Arg("tickers", "BTC-USDT")

    async with following(exchange.ws_url + PUBLIC, trades, ALL, tickers) as (stream, events):
        unclear, clear = await the_next(Refused, events), await the_next(Refused, events)
        exchange.clock.advance(4_000)
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


async def test_an_arg_can_be_subscribed_anew(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL, ETHER) as (stream, events):
        for _ in range(2):
            await the_next(Trades, events)

        await stream.resubscribe(ALL)
        told = [await anext(events) for _ in range(3)]

    assert [type(event) for event in told] == [Unsubscribed, Subscribed, Trades]
    assert {event.arg for event in told if isinstance(event, Unsubscribed | Subscribed | Trades)} == {ALL}


async def test_what_is_wanted_before_connecting_is_asked_for_on_connecting(exchange):
    async with following(exchange.ws_url + BUSINESS) as (stream, events):
        await stream.subscribe(ALL, ETHER)
        await stream.unsubscribe(ETHER)

        subscribed = await the_next(Subscribed, events)

    assert subscribed.arg == ALL


async def test_a_malformed_frame_is_told_and_the_connection_goes_on(exchange):
    async with following(exchange.ws_url + BUSINESS, ALL) as (_, events):
        await the_next(Trades, events)
        exchange.faults.malformed = 1
        exchange.clock.advance(4_000)
        malformed = await the_next(Malformed, events)
        after = await anext(events)

    assert malformed.text.startswith('{"arg"')
    assert isinstance(after, Trades)


async def test_a_request_waits_for_its_place_in_the_exchanges_limits(exchange, monkeypatch):
    monkeypatch.setattr(collector.okx.connection, "REQUESTS", Limit(1, 1.0))
    time = asyncio.get_running_loop().time

    async with following(exchange.ws_url + BUSINESS, ALL) as (stream, events):
        await the_next(Subscribed, events)
        began = time()
        await stream.subscribe(ETHER)
        asked = time()

    assert 0.5 < asked - began < 5


def test_an_address_that_is_none_is_refused_at_once():
    with pytest.raises(InvalidURI):
        OKXStream("https://ws.okx.com")
