"""`candleql status`: what works on a database, and how it is doing."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from candleql.settings import Settings
from candleql.status import look
from repos.application import NAME, named
from repos.domain import Gap
from repos.events import CollectorReport, FeedHealth
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import MINUTE, NOON, a_candle, a_record, a_report
from tests.conftest import a_database
from tests.test_cli import folder, run, serving

pytestmark = pytest.mark.anyio
__all__ = ["folder"]


def settings(url: str) -> Settings:
    return Settings(_env_file=None, database_url=url)


def test_a_demo_that_works_is_healthy_and_tells_all(folder: Path) -> None:
    with serving(folder, "--demo"):
        # Until the first trades are stored and every channel is connected.
        for _ in range(60):
            told = run(folder, "status", "--demo", "--data-dir", "data", "--json")
            status = json.loads(told.stdout)
            shown = run(folder, "status", "--demo", "--data-dir", "data")
            if status["healthy"] and status["series"] and shown.returncode == 0:
                break
            time.sleep(0.5)

    assert (told.returncode, status["problems"]) == (0, []), told
    assert status["database"]["dataDir"] == str(folder / "data" / "demo")
    assert status["database"]["reached"] is True
    [process] = status["processes"]
    assert (process["command"], process["address"]) == ("serve", None)
    assert {feed["symbol"] for feed in status["feeds"]} >= {"BTC-USDT", "ETH-USDT"}
    assert {series["timeframe"] for series in status["series"]} >= {"5s"}
    assert status["gaps"] == []
    assert shown.returncode == 0, shown
    for part in ("candleql serve", "BTC-USDT", "last candle", "trades-all", "healthy"):
        assert part in shown.stdout


def test_a_folder_on_which_nothing_runs_is_told_and_nothing_is_started(folder: Path) -> None:
    told = run(folder, "status", "--data-dir", "data", "--json")
    shown = run(folder, "status", "--data-dir", "data")

    [problem] = json.loads(told.stdout)["problems"]
    assert problem == f"the embedded database in {folder / 'data'} does not run: candleql serve or collect starts it"
    assert f"wrong: {problem}" in shown.stdout
    assert (told.returncode, shown.returncode, told.stderr, shown.stderr) == (1, 1, "", "")
    assert not (folder / "data").exists()


def test_a_wrong_setting_is_a_users_mistake(folder: Path) -> None:
    told = run(folder, "status", DATABASE_URL="postgresql://me:se#cret@h/d")

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("candleql: DATABASE_URL: ")
    assert told.stderr.count("\n") == 1


async def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    status = await look(settings("postgresql://me:secret@127.0.0.1:9/candles?connect_timeout=2"), None)

    [problem] = status.problems
    assert problem.startswith("the database candles at 127.0.0.1:9 as me: ")
    assert (status.reached, status.place["user"], "secret" in str(status)) == (False, "me", False)


async def test_tables_that_are_not_there_are_told_and_not_made(server_url: str) -> None:
    async with a_database(server_url) as url:
        status = await look(settings(url), None)

        connection = await asyncpg.connect(url)
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        await connection.close()

    assert (status.reached, tables) == (True, 0)
    assert "has the tables of no revision" in status.problems[0]


def a_feed(**changes) -> FeedHealth:
    return FeedHealth(**{"exchange": "okx", "channel": "trades-all", "symbol": "BTC-USDT", "connected": True} | changes)


@pytest.mark.parametrize(
    ("feed", "problem"),
    [
        (a_feed(), None),
        (a_feed(connected=False), "okx BTC-USDT trades-all is not connected"),
        (a_feed(lag_ms=12_000.0), "okx BTC-USDT trades-all is 12.0 s late"),
    ],
    ids=["well", "away", "late"],
)
async def test_what_a_collector_says_of_its_channels_decides(database_url, db, feed, problem) -> None:
    await db.market_data.upsert_candle(a_candle())
    async with DatabaseOperations(database_url, work="collect") as other, Feed(other) as collecting:
        await other.bots.count()
        collecting.collectors.keep("one", CollectorReport([feed], []))

        status = await look(settings(database_url), None)

    assert status.problems == ([] if problem is None else [problem])
    assert [client.work for client in status.clients] == ["collect"]
    assert [report.feeds for report in status.reports] == [[feed]]
    assert [market.last_time for market in status.markets] == [a_candle().start_time]


NOW = datetime.now(UTC).replace(second=0, microsecond=0)
LATER = NOW + 2 * MINUTE


@pytest.mark.parametrize(
    ("traded", "stored", "problem"),
    [
        (LATER, NOW + MINUTE, None),
        (LATER + timedelta(seconds=9), NOW - 60 * MINUTE, None),
        (LATER + timedelta(minutes=5), NOW + MINUTE, f"has no candle since {(NOW + MINUTE).isoformat()}"),
        (LATER + timedelta(minutes=5), NOW - 60 * MINUTE, f"has no candle since {(NOW - 60 * MINUTE).isoformat()}"),
        (LATER + timedelta(minutes=5), None, "has no candle at all"),
        (NOW, None, None),
    ],
    ids=["together", "has just begun", "behind", "behind since a restart", "none", "none yet"],
)  # fmt: skip
async def test_candles_that_end_while_their_trades_go_on_are_told(database_url, db, traded, stored, problem) -> None:
    # The collector begins now, and the trades are of the next minutes.
    if stored:
        await db.market_data.upsert_candle(a_candle(start_time=stored))
    await db.tape.insert([a_record(trade_id=1, timestamp=traded)])
    async with DatabaseOperations(database_url, work="collect") as other, Feed(other) as collecting:
        await other.bots.count()
        collecting.collectors.keep("one", a_report(a_candle().series, feeds=[a_feed()]))

        status = await look(settings(database_url), None)

    told = [f"okx BTC-USDT 1m {problem}, but trades until {traded.isoformat()}"] if problem else []
    assert status.problems == told


async def test_open_gaps_and_silent_collectors_are_told(database_url, db) -> None:
    gap = Gap("okx", "BTC-USDT", 5, 7, NOON, NOON + timedelta(seconds=1))
    await db.gaps.add(gap)
    await db.gaps.leave_open(gap, gap)
    async with DatabaseOperations(database_url, work="collect") as silent:
        await silent.bots.count()

        status = await look(settings(database_url), None)

    assert status.problems == [
        "processes that collect: 1, but collectors that were heard of: 0",
        "gaps in trades that are open: 1",
    ]


async def test_a_database_that_nothing_works_on_is_told(database_url, db) -> None:
    status = await look(settings(database_url), None)

    assert [problem.partition(" works on ")[0] for problem in status.problems] == ["neither candleql serve nor collect"]


def test_connections_keep_the_name_that_a_url_gives_them():
    assert NAME.search(named("serve", "mine"))["work"] == "serve"
    assert named("serve", "mine").startswith("mine: candleql serve [")
    long = named("serve --no-collect", "ü" * 60)
    assert len(long.encode()) <= 63
    assert NAME.search(long)["work"] == "serve --no-collect"
