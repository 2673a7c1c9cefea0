"""Channels that fall silent while the exchange goes on, and others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import stamina

import collector.okx.session
import collector.okx.watchdog
from collector.okx.protocol import Arg, Pong, Subscribed, Trades, Unsubscribed
from collector.okx.rest import OKXRest
from collector.okx.simulator.faults import RestFault
from collector.okx.simulator.market import MINUTE
from collector.okx.simulator.server import Simulator
from collector.okx.stream import Connected, Disconnected, OKXStream, StreamEvent
from collector.okx.watchdog import Watchdog
from tests.simulated import NOON, an_exchange
from tests.streams import ALL, BUSINESS, ETHER, PUBLIC, Events, connection_of, following, the_next

pytestmark = pytest.mark.anyio

SILENT_AFTER = 0.15


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector.okx.watchdog, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(collector.okx.watchdog, "SILENT_AFTER", SILENT_AFTER)
    monkeypatch.setattr(collector.okx.session, "PING_EVERY", 0.03)


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with an_exchange() as simulator:
        yield simulator


class Alarms:
    """What a watchdog said, and when."""

    def __init__(self) -> None:
        self.args: list[Arg] = []
        self.times: list[float] = []

    def __call__(self, arg: Arg) -> None:
        self.args.append(arg)
        self.times.append(asyncio.get_running_loop().time())


@asynccontextmanager
async def watching(
    exchange: Simulator, *args: Arg, endpoint: str = BUSINESS
) -> AsyncIterator[tuple[OKXStream, Events, Alarms]]:
    alarms = Alarms()
    async with OKXRest(exchange.rest_url) as rest, following(exchange.ws_url + endpoint, *args) as stream:
        watchdog = asyncio.create_task(Watchdog(stream[0], rest, alarms).run())
        try:
            yield *stream, alarms
        finally:
            watchdog.cancel()
            await asyncio.wait((watchdog,))


def newest_id(exchange: Simulator) -> int:
    return exchange.ledger("BTC-USDT", NOON - MINUTE, exchange.clock() + 1)[-1].id


async def until_moved_on(exchange: Simulator, events: Events, kind: type[StreamEvent]) -> list[StreamEvent]:
    """Let a minute pass with every pong, until an event of this kind: all that came."""
    told = [await anext(events)]
    while not isinstance(told[-1], kind):
        if isinstance(told[-1], Pong):
            exchange.clock.advance(MINUTE)
        told.append(await anext(events))
    return told


async def test_a_silent_channel_is_subscribed_to_anew_and_others_are_left_alone(exchange):
    async with watching(exchange, ALL, ETHER) as (_, events, alarms):
        for _ in range(2):
            await the_next(Trades, events)

        exchange.forget(*ALL)
        told = await until_moved_on(exchange, events, Unsubscribed)
        begun = await the_next(Subscribed, events)
        while (latest := await the_next(Trades, events)).arg != ALL:
            pass

    assert not {Connected, Disconnected} & set(map(type, told))
    assert (told[-1].arg, begun.arg) == (ALL, ALL)
    assert latest.records[-1].trade.trade_id == newest_id(exchange)
    assert alarms.args == [ALL]


async def test_where_that_does_not_help_another_connection_takes_over(exchange):
    async with watching(exchange, ALL) as (_, events, alarms):
        await the_next(Trades, events)

        connection_of(exchange).faults.silent.add(ALL)
        exchange.clock.advance(MINUTE)
        await the_next(Subscribed, events)
        await the_next(Connected, events)
        latest = await the_next(Trades, events)

    assert latest.records[-1].trade.trade_id == newest_id(exchange)
    assert alarms.args == [ALL, ALL]


async def test_a_channel_that_nothing_helps_is_tried_ever_less_often(exchange):
    exchange.faults.silent.add(ALL)

    async with watching(exchange, ALL) as (_, events, alarms):
        async for event in events:
            if isinstance(event, Pong):
                exchange.clock.advance(MINUTE)
            if len(alarms.times) == 4:
                break

    waits = [later - earlier for earlier, later in zip(alarms.times, alarms.times[1:], strict=False)]
    assert [wait > SILENT_AFTER * factor for wait, factor in zip(waits, (1, 2, 4), strict=True)] == [True] * 3


async def test_a_channel_that_went_well_for_a_while_is_only_subscribed_to_anew_again(exchange):
    time = asyncio.get_running_loop().time

    async with watching(exchange, ALL) as (_, events, alarms):
        await the_next(Trades, events)
        for _ in range(2):
            exchange.forget(*ALL)
            await until_moved_on(exchange, events, Subscribed)
            well = time() + 2 * SILENT_AFTER
            while time() < well:
                await until_moved_on(exchange, events, Trades)
        connections = len(exchange.connections)
        told = await until_moved_on(exchange, events, Trades)

    assert alarms.args == [ALL, ALL]
    assert connections == 1
    assert Connected not in map(type, told)


async def test_channels_without_trades_are_watched_too(exchange):
    ticker = Arg("tickers", "BTC-USDT")

    async with watching(exchange, ticker, endpoint=PUBLIC) as (_, events, alarms):
        await the_next(Subscribed, events)
        exchange.forget(*ticker)
        ended = (await until_moved_on(exchange, events, Unsubscribed))[-1]

    assert ended.arg == ticker
    assert alarms.args == [ticker]


async def test_a_quiet_market_is_left_alone(exchange):
    asked = RestFault("market/trades", times=1_000)
    exchange.faults.rest.append(asked)

    async with watching(exchange, ALL) as (_, events, alarms):
        await the_next(Trades, events)
        while asked.times > 996:
            await the_next(Pong, events)
        subscriptions = set(connection_of(exchange).subscriptions)

    assert alarms.args == []
    assert subscriptions == {ALL}


async def test_while_the_exchange_does_not_tell_its_trades_nothing_happens(exchange):
    refusal = RestFault("market/trades", code="51001", times=2)
    exchange.faults.rest.append(refusal)

    async with watching(exchange, ALL) as (_, events, alarms):
        await the_next(Trades, events)
        exchange.forget(*ALL)
        exchange.clock.advance(MINUTE)
        while refusal.times:
            await the_next(Pong, events)
        before = list(alarms.args)
        await the_next(Unsubscribed, events)

    assert before == []
    assert alarms.args == [ALL]


async def test_an_exchange_that_is_away_ends_no_watch(exchange):
    outage = RestFault("market/trades", status=503, times=6)
    exchange.faults.rest.append(outage)

    with stamina.set_testing(True, attempts=3):
        async with watching(exchange, ALL) as (_, events, alarms):
            await the_next(Trades, events)
            exchange.forget(*ALL)
            exchange.clock.advance(MINUTE)
            await the_next(Unsubscribed, events)

    assert outage.times == 0
    assert alarms.args == [ALL]


async def test_a_stream_that_nobody_reads_is_not_silent(exchange):
    time = asyncio.get_running_loop().time

    async with watching(exchange, ALL) as (_, events, alarms):
        await the_next(Trades, events)
        until = time() + 3 * SILENT_AFTER
        exchange.clock.advance(MINUTE)
        while time() < until:
            await asyncio.sleep(0.01)
        await the_next(Trades, events)

    assert alarms.args == []
