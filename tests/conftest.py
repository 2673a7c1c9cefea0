"""A real PostgreSQL for the tests: one of our own, or the server of TEST_DATABASE_URL (15 to 18)."""

import asyncio
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from repos.address import driver_url
from repos.domain import Timeframe
from repos.embedded import server as embedded
from repos.embedded.server import EmbeddedPostgres
from repos.feed.hub import Feed
from repos.migrations.upgrade import migrate
from repos.operations import DatabaseOperations
from repos.tables import metadata
from tests.builders import A_COLLECTOR, BTC_1M, a_report

FOLLOWED = [
    *(BTC_1M._replace(timeframe=Timeframe(text)) for text in ("5s", "1m", "5m")),
    BTC_1M._replace(symbol="ETH-USDT"),
]
# A busy machine takes its time, and a server that ends later than its test would be left behind.
embedded.STOPS_WITHIN = 30.0
# Nothing here must outlive a power cut.
FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
_EMPTIED = metadata.tables.keys() - {"epoch"}
# To truncate an empty table costs as much as a full one: some 5 ms.
_FILLED = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in _EMPTIED)  # noqa: S608
_RESTART = "SELECT " + ", ".join(
    f"setval(pg_get_serial_sequence('{name}', '{column.name}'), 1, false)"
    for name, table in metadata.tables.items()
    for column in table.columns
    if column.identity is not None
)

# Of whole programs, which start, wait and end: what begins last would go on alone.
_LONGEST = [
    f"test_{name}.py"
    for name in (
        *("example_clients", "attack", "conformance", "chaos", "outage", "restart"),
        *("cli", "cli_keys", "shutdown", "embedded"),
    )
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of this test run without coverage, which slows them down: other tests reach all that they do."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a server that runs while the tests do."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield driver_url(given)
        return
    with a_folder() as folder:
        server = EmbeddedPostgres(folder, FAST)
        try:
            yield asyncio.run(server.start())
        finally:
            asyncio.run(server.stop())


@pytest.fixture(scope="session")
async def database_url(server_url: str, anyio_backend: str) -> AsyncIterator[str]:
    """The URL of a migrated database of these tests alone; with the backend among its needs, for plain tests too."""
    async with a_database(server_url) as url:
        await migrate(url)
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[DatabaseOperations]:
    """Opened operations on empty tables."""
    await empty(database_url)
    async with DatabaseOperations(database_url) as operations:
        yield operations


@pytest.fixture
async def logging_db(
    db: DatabaseOperations, database_url: str, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[DatabaseOperations]:
    """Others on the same tables, which log all SQL; `selects` finds it."""
    caplog.set_level(logging.INFO, "sql")
    async with DatabaseOperations(database_url, logger=logging.getLogger("sql"), log_sql=True) as operations:
        yield operations


def selects(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The SELECT statements that were logged."""
    return [text for text in caplog.messages if text.startswith("SELECT")]


@pytest.fixture
async def feed(db: DatabaseOperations) -> AsyncIterator[Feed]:
    """A feed that hears news: what is published from here on is not lost. A collector beside it follows a little."""
    async with Feed(db) as feed:
        feed.collectors.keep(A_COLLECTOR, a_report(*FOLLOWED))
        async with asyncio.timeout(10):
            while not feed.connected:
                await asyncio.sleep(0)
        yield feed


@contextmanager
def a_folder() -> Iterator[Path]:
    """The path of a folder that is not there yet, for an embedded server; removed at the end.

    Not tmp_path: under root the server's account can't enter that, and it is too long for a socket.
    """
    folder = Path(tempfile.gettempdir()) / f"candleql-{secrets.token_hex(4)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def a_database(server_url: str) -> AsyncIterator[str]:
    """The URL of a database made for these tests, dropped at the end."""
    name = f"candleql_{secrets.token_hex(4)}_test"
    url = urlsplit(server_url)
    await _execute(server_url, f"CREATE DATABASE {name}")
    try:
        yield f"postgresql://{url.netloc}/{name}{url.query and '?'}{url.query}"
    finally:
        await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def empty(url: str) -> None:
    """Empty the tables of a test database; refuses any other.

    By TRUNCATE, not by a rollback: NOTIFY reaches its listeners on commit alone.
    """
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT current_database()")
        if not name.endswith("_test"):
            pytest.fail(f"the tests would have emptied the database {name}")
        if filled := [row[0] for row in await connection.fetch(_FILLED)]:
            await connection.execute(f"TRUNCATE {', '.join(filled)}")
        await connection.execute(_RESTART)
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
