"""A database that goes away under a running server, comes back, and freezes: real processes, a real PostgreSQL."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from chaos.database import Database
from collector.okx.simulator.server import Simulator
from repos.domain import Trade
from repos.embedded.server import EmbeddedPostgres
from repos.migrations.upgrade import migrate
from repos.operations import DatabaseOperations
from tests.conftest import FAST, a_folder
from tests.gql_server import Socket, graphql_ws
from tests.served import BTC, TRADES, read_out, serving
from tests.test_restart import happened

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]

BUFFER = 100
SMALL_BUFFER = f"from collector.okx import writer\nwriter._WAITING = writer._BATCH = {BUFFER}"
FULL = f"frames={BUFFER}"
ASKED = '{ health { healthy database { connected } } latestCandle(symbol: "BTC-USDT", timeframe: "1s") { close } }'


@pytest.fixture
async def data_dir() -> AsyncIterator[Path]:
    with a_folder() as folder:
        yield folder


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_dir, FAST)
    try:
        yield server
    finally:
        Database(data_dir).send(signal.SIGCONT)
        await server.stop()


async def state(http: httpx2.AsyncClient) -> tuple[int, bool, bool, list[str]]:
    """What readyz and health say, and the codes of the errors of a query."""
    ready = await http.get("/readyz")
    answer = (await http.post("/graphql", json={"query": ASKED})).json()
    health = answer["data"]["health"]
    codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
    return ready.status_code, health["healthy"], health["database"]["connected"], codes


async def hear_until(client: Socket, wanted: set[int]) -> list[int]:
    """The ids of all trades that come, until these have; what is recovered comes when it is written."""
    ids: list[int] = []
    while not wanted <= set(ids):
        ids += [int(trade["tradeId"]) for trade in (await client.event())["trades"]["trades"]]
    return ids


async def until_stored(url: str, expected: list[Trade]) -> None:
    async with DatabaseOperations(url) as db, asyncio.timeout(15):
        span = expected[0].timestamp, expected[-1].timestamp + timedelta(milliseconds=1)
        while (await db.tape.between("okx", BTC, *span))[: len(expected)] != expected:
            await asyncio.sleep(0.05)


async def test_a_database_that_is_away_and_back_costs_no_trade_and_a_frozen_one_holds_up_no_end(
    server, data_dir, tmp_path
):
    url = await server.start()
    await migrate(url)
    async with Simulator(seed=5, rate=64, connections_per_second=100) as exchange, AsyncExitStack() as stack:
        program = await stack.enter_async_context(serving(tmp_path, url, exchange, SMALL_BUFFER))
        client = await stack.enter_async_context(graphql_ws(program.address))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://{program.address}"))
        await client.subscribe(TRADES)
        await client.event()

        away = datetime.now(UTC)
        await server.stop()
        during = await state(http)
        async with asyncio.timeout(15):
            while FULL not in program.said():
                await asyncio.sleep(0.05)
        exchange.drop()
        missed = happened(exchange, away, datetime.now(UTC))
        await server.start()
        heard = await hear_until(client, {trade.trade_id for trade in missed})
        await until_stored(url, missed)
        after = await state(http)
        Database(data_dir).send(signal.SIGSTOP)
        told = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        code = await read_out(client)
        took = await program.ended(told)

    assert during == (503, False, False, ["DATABASE_UNAVAILABLE"])
    assert after == (200, True, True, [])
    assert len(heard) == len(set(heard))
    assert max(int(trades) for trades in re.findall(r"storing (\d+) trades", program.said())) < 1.5 * BUFFER
    assert code == 1012
    assert took < 5
