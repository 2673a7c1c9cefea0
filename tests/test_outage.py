"""A database that goes away under a running server, comes back, and freezes: real processes, a real PostgreSQL."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from chaos.processes import Database
from collector.okx.simulator.server import Simulator
from repos.domain import Trade
from repos.migrations.upgrade import migrate
from repos.operations import DatabaseOperations
from tests.conftest import a_folder
from tests.gql_server import Socket, graphql_ws
from tests.served import BTC, TRADES, read_out, serving
from tests.test_restart import happened

pytestmark = pytest.mark.anyio

BUFFER = 100
SMALL_BUFFER = f"from collector.okx import collector\ncollector._WAITING = collector._BATCH = {BUFFER}"
FULL = f"frames={BUFFER}"
ASKED = '{ health { healthy database { connected } } latestCandle(symbol: "BTC-USDT", timeframe: "1s") { close } }'


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    with a_folder() as folder:
        database = Database(folder)
        try:
            yield database
        finally:
            database.send(signal.SIGCONT)
            await database.stop()


async def state(http: httpx2.AsyncClient) -> tuple[int, bool, bool, list[str]]:
    """What readyz and health say, and the codes of the errors of a query."""
    ready = await http.get("/readyz")
    answer = (await http.post("/graphql", json={"query": ASKED})).json()
    health = answer["data"]["health"]
    codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
    return ready.status_code, health["healthy"], health["database"]["connected"], codes


async def hear_until(client: Socket, trade_id: int) -> list[int]:
    """The ids of all trades that come, until this one has."""
    ids: list[int] = []
    while trade_id not in ids:
        ids += [int(trade["tradeId"]) for trade in (await client.event())["trades"]["trades"]]
    return ids


async def until_stored(url: str, expected: list[Trade]) -> None:
    async with DatabaseOperations(url) as db, asyncio.timeout(15):
        span = expected[0].timestamp, expected[-1].timestamp + timedelta(milliseconds=1)
        while (await db.tape.between("okx", BTC, *span))[: len(expected)] != expected:
            await asyncio.sleep(0.05)


async def test_a_database_that_is_away_and_back_costs_no_trade_and_a_frozen_one_holds_up_no_end(database, tmp_path):
    url = await database.start()
    await migrate(url)
    async with Simulator(seed=5, rate=64, connections_per_second=100) as exchange, AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(tmp_path, url, exchange, SMALL_BUFFER))
        client = await stack.enter_async_context(graphql_ws(server.address))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://{server.address}"))
        await client.subscribe(TRADES)
        await client.event()

        away = datetime.now(UTC)
        await database.stop()
        during = await state(http)
        async with asyncio.timeout(15):
            while FULL not in server.said():
                await asyncio.sleep(0.05)
        exchange.drop()
        missed = happened(exchange, away, datetime.now(UTC))
        await database.start()
        heard = await hear_until(client, missed[-1].trade_id)
        await until_stored(url, missed)
        after = await state(http)
        database.send(signal.SIGSTOP)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = await read_out(client)
        took = await server.ended(told)

    assert during == (503, False, False, ["DATABASE_UNAVAILABLE"])
    assert after == (200, True, True, [])
    assert len(heard) == len(set(heard))
    assert {trade.trade_id for trade in missed} <= set(heard)
    assert max(int(trades) for trades in re.findall(r"storing (\d+) trades", server.said())) < 1.5 * BUFFER
    assert code == 1012
    assert took < 5
