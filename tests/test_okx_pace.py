"""Limits of the exchange, kept by those who begin at once, whatever happens to the machine's clock."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from collector.okx import channels as channels_module
from collector.okx.pace import Limit, Turns
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.server import Simulator
from tests.test_collector import a_collector, channels

pytestmark = pytest.mark.anyio


async def test_connections_that_begin_at_once_keep_to_the_exchange_s_three_a_second(db, feed, monkeypatch):
    monkeypatch.setattr(channels_module, "ARGS_PER_CONNECTION", 1)
    symbols = list(INSTRUMENTS)

    async with Simulator(seed=5, connections_per_second=3) as exchange:
        # The exchange counts the first three late: a second after their beginning it would count six in one.
        exchange.faults.openings += [0.7, 0.7, 0.7]
        with capture_logs() as logs:
            async with a_collector(exchange, db, feed, symbols=symbols, timeframes={}):
                await channels(feed, 6)
                exchange.drop()
                while exchange.connections:
                    await asyncio.sleep(0.01)
                await channels(feed, 6)

    lost = [log["reason"] for log in logs if log["event"] == "Disconnected"]
    assert len(lost) == 6  # by the exchange; none was refused
    assert not [reason for reason in lost if "429" in reason]


async def test_collectors_side_by_side_share_the_limits_of_their_address(db, feed):
    symbols = list(INSTRUMENTS)[:4]

    async with Simulator(seed=5, connections_per_second=3) as exchange, AsyncExitStack() as stack:
        with capture_logs() as logs:
            for symbol in symbols:  # with two connections each
                await stack.enter_async_context(a_collector(exchange, db, feed, symbols=[symbol], timeframes={}))
            await channels(feed, len(symbols))

    assert [log for log in logs if log["log_level"] == "warning"] == []


async def test_what_is_under_way_takes_its_place_until_a_while_after_its_end():
    clock = asyncio.get_running_loop().time
    turns, ended = Turns(Limit(2, 0.2)), []

    async def under_way() -> float:
        async with turns:
            began = clock()
            await asyncio.sleep(0.2)
            ended.append(clock())
        return began

    began = await asyncio.gather(*(under_way() for _ in range(5)))

    assert began[2] > ended[0] + 0.2
    assert began[4] > ended[2] + 0.2


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_step_of_the_clock_neither_stops_requests_nor_lets_them_burst(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    clock = time.time
    turns = Turns(Limit(3, 0.5))
    begun = time.monotonic()
    for _ in range(3):
        async with turns:
            pass
    monkeypatch.setattr(time, "time", lambda: clock() + step)

    async with asyncio.timeout(30):
        for _ in range(3):
            async with turns:
                pass

    assert time.monotonic() - begun >= 0.5
