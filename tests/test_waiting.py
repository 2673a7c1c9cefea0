"""Nothing looks healthy while nothing is stored: a real database that refuses or hangs, an exchange that refuses."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import sqlalchemy as sa

from collector.okx.collector import OKXCollector
from collector.okx.simulator.server import Simulator
from repos.driver_errors import translated
from repos.errors import cause_of
from tests.builders import A_COLLECTOR
from tests.gql_server import Client, an_app
from tests.served import serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]

HEALTH = """{ health { healthy waiting { since reason } feeds { channel symbol connected
    refusal { code message since } } } }"""
FULL = """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2"' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON raw_trades EXECUTE FUNCTION full_disk()"""
EMPTIED = "DROP TRIGGER IF EXISTS full_disk ON raw_trades; DROP FUNCTION IF EXISTS full_disk"


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with Simulator(seed=5, rate=16, connections_per_second=100) as simulator:
        yield simulator


@pytest.fixture
async def beside(db, feed) -> AsyncIterator[Client]:
    """A server beside the collector's, which collects nothing."""
    feed.collectors.keep(A_COLLECTOR, None)
    async with Client(an_app(db, feed, collected=())) as client:
        yield client


async def execute(db, statements: str) -> None:
    async with db.engine.begin() as connection:
        for statement in statements.split("; ") if "$$" not in statements else statements.rsplit(";\n", 1):
            await connection.execute(sa.text(statement.replace(":", "\\:")))


async def until(http: httpx2.AsyncClient, status: int) -> dict:
    """What /readyz says when it says that."""
    async with asyncio.timeout(60):
        while (answer := await http.get("/readyz")).status_code != status:
            await asyncio.sleep(0.05)
    return answer.json()


async def gauge(http: httpx2.AsyncClient, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", (await http.get("/metrics")).text, re.MULTILINE)
    assert found
    return float(found[1])


async def told_by(http: httpx2.AsyncClient) -> dict:
    return (await http.post("/graphql", json={"query": HEALTH})).json()["data"]["health"]


@pytest.mark.parametrize(
    ("breaks", "mends", "reason"),
    [
        pytest.param(FULL, EMPTIED, "The database's disk is full (SQLSTATE 53100)", id="a full disk"),
        pytest.param(None, None, "The database does not answer", id="a locked table"),
    ],
)
async def test_a_batch_that_waits_is_told_by_every_server_until_it_is_stored(
    db, database_url, beside, exchange, tmp_path, breaks, mends, reason
):
    async with (
        serving(tmp_path, database_url, exchange) as program,
        httpx2.AsyncClient(base_url=f"http://{program.address}", timeout=60) as own,
    ):
        before = await until(own, 200), await gauge(own, "candleql_store_waiting_seconds")
        begun = datetime.now(UTC) - timedelta(seconds=1)
        locked = await db.engine.connect()
        try:
            if breaks is None:
                await locked.execute(sa.text("LOCK TABLE raw_trades IN ACCESS EXCLUSIVE MODE"))
            else:
                await execute(db, breaks)
            during = [await until(http, 503) for http in (own, beside.http)]
            healths = [await told_by(http) for http in (own, beside.http)]
            waited = [await gauge(http, "candleql_store_waiting_seconds") for http in (own, beside.http)]
        finally:
            await locked.close()
            if mends is not None:
                await execute(db, mends)
        after = [await until(http, 200) for http in (own, beside.http)]
        healthy = await told_by(own)

    assert before == ({"ready": True}, 0)
    assert [(each["ready"], each["waitingFor"]) for each in during] == [(False, reason)] * 2
    assert begun <= datetime.fromisoformat(during[0]["waitingSince"]) <= datetime.now(UTC)
    assert [(each["healthy"], each["waiting"]["reason"]) for each in healths] == [(False, reason)] * 2
    assert min(waited) > 0
    assert after == [{"ready": True}] * 2
    assert (healthy["healthy"], healthy["waiting"]) == (True, None)


async def test_a_channel_that_the_exchange_refuses_is_named_and_leaves_the_server_ready(db, feed, beside, exchange):
    collector = OKXCollector(
        ["BTC-USDT", "NO-SUCH"], db=db, feed=feed, rest_url=exchange.rest_url, ws_url=exchange.ws_url
    )
    begun = datetime.now(UTC) - timedelta(seconds=1)
    async with collector:
        async with asyncio.timeout(60):
            while not [row for row in feed.collectors.feeds() if row.refusal and row.channel == "trades-all"]:
                await asyncio.sleep(0.05)
        ready = await until(beside.http, 200)
        health = await told_by(beside.http)
        metrics = (await beside.http.get("/metrics")).text

    [refused] = [row for row in health["feeds"] if row["symbol"] == "NO-SUCH"]
    assert (refused["connected"], refused["refusal"]["code"]) == (False, "60018")
    assert "doesn't exist" in refused["refusal"]["message"]
    assert begun <= datetime.fromisoformat(refused["refusal"]["since"]) <= datetime.now(UTC)
    assert ready["refused"] == [
        {
            "exchange": "okx",
            "channel": "trades-all",
            "symbol": "NO-SUCH",
            "code": "60018",
            "since": refused["refusal"]["since"],
        }
    ]
    assert 'candleql_refused_channels{channel="trades-all",code="60018",exchange="okx",symbol="NO-SUCH"} 1.0' in metrics


def test_a_cause_says_nothing_of_the_databases_own_words():
    away = translated("storing 1 trades", ConnectionRefusedError("10.0.0.1 said no"))

    assert cause_of(away) == "The database can't be reached"
