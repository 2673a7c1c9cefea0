"""Everything that is done to the system, each for some seconds, and then undone."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from chaos.gaps import TOLD_WITHIN
from chaos.processes import Program
from chaos.proxy import Proxy
from chaos.system import System
from repos.feed.receiver import TICK

Act = Callable[[System, float], Awaitable[None]]

LASTING = 0.1, 1.5
"""Seconds of a fault."""
BETWEEN = 0.1, 1.0
"""Seconds until the next one."""
RECOVERS_WITHIN = 5.0
"""Seconds that every other fault waits for news of trades to come all the way again; the others meet what is broken."""
_TOLD_WITHIN = TOLD_WITHIN.total_seconds() + 5
_KILLED_EVERY = 0.2
_TRADES_OF_ONE = "trades-all", "ETH-USDT"
_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
)
_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Fault(NamedTuple):
    """A fault that will happen. `name` is one of FAULTS."""

    name: str
    lasting: float
    pause: float
    is_outlived: bool
    """Whether the next one waits until the system works again."""


def plan(seed: int, count: int) -> list[Fault]:
    """The same for the same seed. Each kind comes once before any comes twice."""
    dice = random.Random(seed)
    names: list[str] = []
    while len(names) < count:
        names += dice.sample(sorted(FAULTS), len(FAULTS))
    return [Fault(name, dice.uniform(*LASTING), dice.uniform(*BETWEEN), dice.random() < 0.5) for name in names[:count]]


async def suffer(system: System, fault: Fault) -> None:
    """Let a fault happen and pass."""
    await FAULTS[fault.name](system, fault.lasting)
    await asyncio.sleep(fault.pause)
    if fault.is_outlived:
        await system.recovered(RECOVERS_WITHIN)


def _end(number: signal.Signals, program: Callable[[System], Program]) -> Act:
    async def act(system: System, _: float) -> None:
        program(system).send(number)

    return act


def _freeze(program: Callable[[System], Program]) -> Act:
    async def act(system: System, lasting: float) -> None:
        program(system).send(signal.SIGSTOP)
        await asyncio.sleep(lasting)
        program(system).send(signal.SIGCONT)

    return act


def _cut(proxy: Callable[[System], Proxy]) -> Act:
    async def act(system: System, _: float) -> None:
        proxy(system).cut()

    return act


def _stall(proxy: Callable[[System], Proxy]) -> Act:
    async def act(system: System, lasting: float) -> None:
        proxy(system).stall()
        await asyncio.sleep(lasting)
        proxy(system).flow()

    return act


def _half_open(proxy: Callable[[System], Proxy]) -> Act:
    async def act(system: System, _: float) -> None:
        proxy(system).half_open()

    return act


async def _programs_killed(system: System, _: float) -> None:
    """The server that they leave behind has no owner: the first one that is started again adopts it."""
    system.collector.send(signal.SIGKILL)
    system.api.send(signal.SIGKILL)


async def _database_killed(system: System, _: float) -> None:
    await system.database.kill()


async def _database_kept_down(system: System, lasting: float) -> None:
    """Killed again whenever it is started."""
    with suppress(TimeoutError):
        async with asyncio.timeout(lasting):
            while True:
                await system.database.kill()
                await asyncio.sleep(_KILLED_EVERY)


async def _all_killed(system: System, lasting: float) -> None:
    await _programs_killed(system, lasting)
    await system.database.kill()


async def _database_frozen(system: System, lasting: float) -> None:
    system.database.send(signal.SIGSTOP)
    await asyncio.sleep(lasting)
    system.database.send(signal.SIGCONT)


async def _database_restarted(system: System, _: float) -> None:
    await system.database.restart()


async def _database_replaced(system: System, lasting: float) -> None:
    """By an older copy of itself, under open subscribers. What that lacks a new collector reads back."""
    with system.collector.held(), system.api.held():
        await system.database.kill()
        await system.database.copy()
    await system.recovered(RECOVERS_WITHIN)
    await asyncio.sleep(TICK + lasting)  # the programs look at the tables meanwhile
    with system.collector.held(), system.api.held():
        await system.database.kill()
        await system.database.replace()
        system.collector.send(signal.SIGKILL)


def _terminate(statement: str) -> Act:
    async def act(system: System, _: float) -> None:
        connection = await system.database.connect()
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    return act


def _misbehave(on: dict[str, Any], off: dict[str, Any]) -> Act:
    async def act(system: System, lasting: float) -> None:
        await system.exchange.tell("faults", **on)
        await asyncio.sleep(lasting)
        await system.exchange.tell("faults", **off)

    return act


def _tell(command: str, **arguments: Any) -> Act:
    async def act(system: System, _: float) -> None:
        await system.exchange.tell(command, **arguments)

    return act


def _refuse(code: str) -> Act:
    """Subscriptions are answered with an error, and there are new ones, because connections are dropped."""

    async def act(system: System, lasting: float) -> None:
        await system.exchange.tell("answer", channel="trades-all", code=code, times=2)
        await system.exchange.tell("drop")
        await asyncio.sleep(lasting)

    return act


async def _skip_pushes(system: System, lasting: float) -> None:
    """Leave trades out, so that what is missing has to be asked for."""
    await _misbehave({"skip_every": 3}, {"skip_every": 0})(system, lasting)


def _rest(**fault: Any) -> Act:
    async def act(system: System, lasting: float) -> None:
        for path in ("history-trades", "candles"):
            await system.exchange.tell("rest", path=path, **fault)
        await _skip_pushes(system, lasting)

    return act


async def _history_refused(system: System, lasting: float) -> None:
    """Until gaps are left open and told. The collector asks again when it is started anew, or after 15 minutes."""
    await system.exchange.tell("rest", path="history-trades", code="51001", times=1_000_000)
    await _skip_pushes(system, lasting)
    await system.exchange.tell("drop")
    await system.told_of_gaps(_TOLD_WITHIN)
    await system.exchange.tell("behave")
    system.collector.send(signal.SIGKILL)


FAULTS: dict[str, Act] = {
    "collector killed": _end(signal.SIGKILL, lambda system: system.collector),
    "collector ended": _end(signal.SIGTERM, lambda system: system.collector),
    "collector frozen": _freeze(lambda system: system.collector),
    "API killed": _end(signal.SIGKILL, lambda system: system.api),
    "API ended": _end(signal.SIGTERM, lambda system: system.api),
    "API frozen": _freeze(lambda system: system.api),
    "database killed": _database_killed,
    "database kept down": _database_kept_down,
    "collector and API killed": _programs_killed,
    "all killed": _all_killed,
    "database frozen": _database_frozen,
    "database restarted": _database_restarted,
    "database replaced by an older copy": _database_replaced,
    "LISTEN terminated": _terminate(_LISTENERS),
    "database connections terminated": _terminate(_BACKENDS),
    "exchange's websockets cut": _cut(lambda system: system.to_websocket),
    "exchange's websockets stalled": _stall(lambda system: system.to_websocket),
    "exchange's websockets half open": _half_open(lambda system: system.to_websocket),
    "exchange's REST cut": _cut(lambda system: system.to_rest),
    "exchange's REST stalled": _stall(lambda system: system.to_rest),
    "exchange's REST half open": _half_open(lambda system: system.to_rest),
    "clients cut": _cut(lambda system: system.to_api),
    "clients stalled": _stall(lambda system: system.to_api),
    "clients half open": _half_open(lambda system: system.to_api),
    "pushes dropped": _misbehave({"stalled": True}, {"stalled": False}),
    "exchange silent": _misbehave({"half_open": True}, {"half_open": False}),
    "pushes doubled": _misbehave({"duplicate_every": 2}, {"duplicate_every": 0}),
    "pushes reordered": _misbehave({"reorder_window": 6}, {"reorder_window": 0}),
    "pushes skipped": _skip_pushes,
    "pushes malformed": _tell("faults", malformed=3),
    "channel silent": _misbehave({"silent": [_TRADES_OF_ONE]}, {"silent": []}),
    "subscription lost": _tell("forget", channel=_TRADES_OF_ONE[0], inst_id=_TRADES_OF_ONE[1]),
    "connections refused": _misbehave({"refused": 2}, {"refused": 0}),
    "subscriptions delayed": _refuse("64007"),
    "subscriptions refused": _refuse("60018"),
    "REST unavailable": _rest(status=503, times=2),
    "REST too fast": _rest(status=429, code="50011", times=2),
    "REST busy": _rest(code="50013", times=2),
    "REST late": _rest(delay=1.0, times=2),
    "history refused": _history_refused,
    "REST truncated": _rest(truncated=True, times=2),
    "connections dropped": _tell("drop"),
    "connections closed": _tell("drop", code=1001),
    "connections upgraded": _tell("upgrade", delay=1_000),
}
