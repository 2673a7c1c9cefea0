"""The two OKX clients that most people use take the simulator for the exchange."""

import asyncio
import json
import os
import ssl
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme

from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.market import Match
from collector.okx.simulator.server import Simulator

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PYTHON = HERE.parent / ".venv-okx-clients" / "bin" / "python"
HOUR = 3_600_000

if not PYTHON.exists():
    pytest.skip(f"{PYTHON} is missing: make okx-clients installs ccxt and python-okx there", allow_module_level=True)


class FastClock:
    """A minute a second: the clients need not wait for trades."""

    def __init__(self) -> None:
        self._began = time.time()

    def __call__(self) -> int:
        return int((self._began + 60 * (time.time() - self._began)) * 1000)

    async def tick(self) -> None:
        await asyncio.sleep(0.01)


async def test_ccxt_reads_and_watches_it():
    async with Simulator(clock=FastClock()) as exchange:
        seen = await run("with_ccxt.py", exchange)

        assert set(seen["markets"]) == {
            "BTC/USDT",
            "ETH/USDT",
            "SOL/USDT",
            "SHIB/USDT",
            "BTC/USDT:USDT",
            "ETH/USDT:USDT",
        }
        assert seen["markets"]["SHIB/USDT"]["precision"] == {"amount": 1, "price": 1e-9}
        assert seen["markets"]["BTC/USDT:USDT"]["contractSize"] == 0.01
        fetched = [told(trade) for trade in seen["fetched_trades"]]
        older = [told(trade["info"]) for trade in seen["older_trades"]]
        assert len(fetched) == 200
        assert len(older) == 100
        assert older + fetched == truth(exchange, older[0][0], fetched[-1][0])
        hours = [seen["since"] + hour * HOUR for hour in range(4)]
        assert [row[0] for row in seen["hours"]] == hours
        assert seen["hours"] == [candle(exchange, "ETH-USDT-SWAP", hour) for hour in hours]
        assert [row[0] % (24 * HOUR) for row in seen["days"]] == [0, 0, 0]
        assert len(seen["book"]["asks"]) == len(seen["book"]["bids"]) == 5
        assert seen["ticker"]["last"] > 0
        assert seen["watched_ticker"]["bid"] < seen["watched_ticker"]["ask"]
        assert seen["watched_candle"][0] % 60_000 == 0
        for book in seen["watched_books"]:
            assert book["bids"] == sorted(book["bids"], reverse=True)
            assert book["asks"] == sorted(book["asks"])
            assert book["bids"][0] < book["asks"][0]
        assert folded(seen["watched_trades"]) == truth_folded(exchange, seen["watched_trades"])


async def test_python_okx_reads_and_subscribes_to_it_over_tls(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(trusted)

    async with Simulator(clock=FastClock(), ssl_context=context) as exchange:
        seen = await run("with_python_okx.py", exchange, SSL_CERT_FILE=str(trusted))

        assert seen["time"]["code"] == "0"
        assert {row["instId"]: row["ctVal"] for row in seen["instruments"]["data"]} == {
            "BTC-USDT-SWAP": "0.01",
            "ETH-USDT-SWAP": "0.1",
        }
        rest = [told(trade) for trade in reversed(seen["trades"] + seen["older_trades"])]
        assert len(rest) == 150
        assert rest == truth(exchange, rest[0][0], rest[-1][0])
        assert [row[8] for row in seen["minutes"]] == ["0", "1", "1", "1", "1"]
        assert [int(row[0]) % (24 * HOUR) for row in seen["days"]] == [16 * HOUR] * 3
        assert seen["unknown"]["code"] == "51001"
        public, business = seen["public"], seen["business"]
        assert (public[0]["event"], public[0]["id"]) == ("subscribe", "one")
        trades = [frame["data"][0] for frame in public[1:]]
        assert folded(trades) == truth_folded(exchange, trades)
        singles = [told(t) for f in business if f["arg"]["channel"] == "trades-all" for t in f.get("data", [])]
        assert singles == truth(exchange, singles[0][0], singles[-1][0])


async def run(script: str, exchange: Simulator, **environment: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        HERE / "okx_clients" / script,
        exchange.rest_url,
        exchange.ws_url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    seen: dict[str, Any] = json.loads(out)
    return seen


Row = tuple[int, str, str, str, int]


def told(trade: dict[str, str]) -> Row:
    return int(trade["tradeId"]), trade["px"], trade["sz"], trade["side"], int(trade["ts"])


def happened(match: Match) -> Row:
    spec = INSTRUMENTS["BTC-USDT"]
    side = "buy" if match.is_buy else "sell"
    return match.id, spec.price(match.price), spec.size(match.size), side, match.time


def truth(exchange: Simulator, first: int, last: int) -> list[Row]:
    now = exchange.clock()
    rows = [happened(match) for match in exchange.ledger("BTC-USDT", now - 2 * HOUR, now + 1)]
    return [row for row in rows if first <= row[0] <= last]


def folded(trades: list[dict[str, str]]) -> list[tuple[int, int, str, Decimal]]:
    """First and last id, price and size of aggregated trades as received."""
    return [(int(t["tradeId"]) - int(t["count"]) + 1, int(t["tradeId"]), t["px"], Decimal(t["sz"])) for t in trades]


def truth_folded(exchange: Simulator, trades: list[dict[str, str]]) -> list[tuple[int, int, str, Decimal]]:
    """The same, added up from the matches that happened; contiguous from the first to the last."""
    told_of = folded(trades)
    happened_then = truth(exchange, told_of[0][0], told_of[-1][1])
    found = []
    for _, last, price, _ in told_of:
        rows = [row for row in happened_then if row[0] <= last]
        happened_then = happened_then[len(rows) :]
        assert {row[1] for row in rows} == {price}
        found.append((rows[0][0], rows[-1][0], price, sum((Decimal(row[2]) for row in rows), Decimal())))
    return found


def candle(exchange: Simulator, inst_id: str, start: int) -> list[float]:
    spec = INSTRUMENTS[inst_id]
    matches = exchange.ledger(inst_id, start, start + HOUR)
    prices = [match.price for match in matches]
    coins = spec.size(sum(match.size for match in matches))
    shown = [spec.price(p) for p in (prices[0], max(prices), min(prices), prices[-1])]
    return [start, *(float(text) for text in shown), float(Decimal(coins) * Decimal("0.1"))]
