"""The door to the store: one object with the repositories, whatever database is behind it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from repos.address import database_url, driver_url, environment, place_of, pool_size, wants_sql_logged
from repos.base import DRIVER_ERRORS
from repos.bots import BotRepository
from repos.clients import ClientRepository
from repos.connecting import connect
from repos.domain import InvalidValue, Stats, shown
from repos.embedded.server import EmbeddedPostgres, default_data_dir
from repos.epoch import EpochRepository
from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.events import DatabaseHealth
from repos.feed.bus import Bus
from repos.gaps import GapRepository
from repos.hot import SQL_LOG
from repos.instruments import InstrumentRepository
from repos.json_text import read_json
from repos.keys import KeyRepository
from repos.libpq import unkept
from repos.loggers import Logger, Logs, is_logger
from repos.market_data import MarketDataRepository
from repos.migrations.upgrade import is_pooled, migrate
from repos.raw_trades import RawTradeRepository
from repos.stats import StatsReader
from repos.tape import TapeRepository
from repos.wire import WireConnections

_CHECK_SECONDS = 5.0
_CLOSE_SECONDS = 0.5
_STATEMENTS = 100  # kept prepared on a connection
_ANSWER_SECONDS = 60.0
"""A statement that has no answer by then counts as failed: the server may be gone without a word."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """End it in a moment. The driver would wait for a server that is frozen or out of reach."""
        with suppress(TimeoutError):
            await super().close(timeout=_CLOSE_SECONDS)


class DatabaseOperations:
    """The repositories of one database, over one pool of connections.

    Everything works at once: the first connection starts the embedded server, if it is that, and migrates. `close()`,
    or the end of `async with`, closes the pool and stops a server that this process owns; then a new object is needed.
    """

    def __init__(
        self,
        database: str | EmbeddedPostgres,
        *,
        listen_url: str | None = None,
        logger: Logger | None = None,
        log_sql: bool = False,
        pool_size: int = 10,
        max_overflow: int = 10,
        pool_timeout: float = 10.0,
        pool_recycle: float = 1800.0,
        read_timeout: float | None = None,
        work: str | None = None,
        migrating: bool = True,
    ) -> None:
        """`database` is a URL, or the embedded server. `listen_url`, where it differs, leads straight to the primary:
        news goes and comes over it.

        Up to `pool_size` connections stay open and `max_overflow` more are opened when all are in use; a caller waits
        `pool_timeout` seconds for one; none serves longer than `pool_recycle` seconds. What is printed as it is stored
        is read on up to `pool_size` others, where the database cancels a statement after `read_timeout` seconds.
        Connections are named for the process and its `work`, where that is given. Without `migrating` the tables are
        taken as they are.

        Raises:
            InvalidValue: The URL is not PostgreSQL's.
        """
        self._database = driver_url(database) if isinstance(database, str) else database
        self._listen_url = None if listen_url is None else driver_url(listen_url, "DATABASE_LISTEN_URL")
        self._logs = Logs(logger, log_sql)
        self._log = self._logs.bound
        if isinstance(database, str) and (missed := unkept(database)):
            self._log.warning(missed)
        self._work = work
        self._preparing = asyncio.Lock()
        self._migrating = migrating
        self._prepared = False
        self._pooled = False
        self._closed = False
        self._connections: WeakSet[asyncpg.Connection] = WeakSet()
        self.engine = self._engine(
            self._connect,
            connect_args={"prepared_statement_name_func": lambda: "" if self._pooled else None},
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=pool_timeout,
            pool_recycle=int(pool_recycle),
            # The connection used last has the warmest caches, and spare ones are left to age.
            pool_use_lifo=True,
        )
        # A standby can't send news, and where LISTEN has a URL of its own, the other one may lead there.
        self._sender = self._engine(self._connect_sender, pool_size=1, max_overflow=0) if listen_url else self.engine
        self.bus = Bus(self._sender, self.listen_connection)
        self._read_timeout = read_timeout
        self._wire = WireConnections(self._connect_reader, pool_size, pool_timeout, self._logs.statement)
        self.epoch = EpochRepository(self.engine, self.bus, self._log)
        self.market_data = MarketDataRepository(self.engine, self.bus, self._log, self._wire, self.epoch)
        self.tape = TapeRepository(self.engine, self.bus, self._log)
        self.gaps = GapRepository(self.engine, self.bus, self._log)
        self.raw_trades = RawTradeRepository(self.engine, self.bus, self._log, self.tape)
        self.bots = BotRepository(self.engine, self.bus, self._log, self._wire)
        self.instruments = InstrumentRepository(self.engine, self.bus, self._log)
        self.keys = KeyRepository(self.engine, self.bus, self._log)
        self.clients = ClientRepository(self.engine, self.bus, self._log)
        self.stats = StatsReader(self.engine, self.bus, self._log)

    def _engine(self, connect: Callable[[], Awaitable[asyncpg.Connection]], **options: Any) -> AsyncEngine:
        # READ COMMITTED is said with each transaction: a role may have another default, under which parallel upserts
        # fail (40001).
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            isolation_level="READ COMMITTED",
            json_deserializer=read_json,
            execution_options={SQL_LOG: self._logs.statement},
            **options,
        )
        sa.event.listen(engine.sync_engine, "checkout", _refuse_closed)
        sa.event.listen(engine.sync_engine, "before_cursor_execute", self._logs.executed)
        return engine

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_embedded(self) -> bool:
        return isinstance(self._database, EmbeddedPostgres)

    @property
    def place(self) -> dict[str, str]:
        """Where the database is: the data folder of an embedded one, else host, port, database and user."""
        if isinstance(self._database, EmbeddedPostgres):
            return {"data_dir": str(self._database.data_dir)}
        return place_of(self._database)

    @property
    def closed(self) -> bool:
        return self._closed

    async def open(self) -> None:
        """Have the database up and migrated now, rather than with the first call.

        Raises:
            DatabaseUnavailable: It can't be reached or started.
            DatabaseOperationError: It can't be migrated.
        """
        await self._ready()
        await self.epoch.known()

    async def close(self) -> None:
        """Close the connections, and stop the embedded server if this process owns it; again is fine."""
        self._closed = True
        try:
            # One after the other they would wait long for a server that is frozen or out of reach.
            for connection in list(self._connections):
                connection.terminate()
            await self.engine.dispose()
            await self._sender.dispose()
        finally:
            if isinstance(self._database, EmbeddedPostgres):
                await self._database.stop()

    def log_to(self, logger: Logger | None, *, log_sql: bool) -> None:
        """From now on tell `logger`, unless it is None, what is done, and all SQL if `log_sql`."""
        self._logs.point(logger, log_sql)

    async def health_check(self) -> bool:
        """Whether the database answers; never raises."""
        return (await self.health()).connected

    async def health(self) -> DatabaseHealth:
        """How the database answers now, and how busy the pool is; never raises."""
        latency = None
        try:
            # Outside the timeout: the first start takes its time.
            await self._ready()
            begun = time.perf_counter()
            async with asyncio.timeout(_CHECK_SECONDS), self.engine.connect() as connection:
                await connection.execute(sa.select(1))
            latency = (time.perf_counter() - begun) * 1000
        except (DatabaseOperationError, *DRIVER_ERRORS) as error:
            self._log.warning("The database does not answer", reason=str(error) or type(error).__name__)
        pool: Any = self.engine.pool
        return DatabaseHealth(latency is not None, latency, pool.size(), pool.checkedout())

    async def get_stats(self) -> Stats:
        """Counts, size and rates; never raises.

        While the database is away `healthy` is False, and the numbers are those read last, zero before the first.
        """
        try:
            return await self.stats.read()
        except DatabaseOperationError:
            return self.stats.last()

    async def listen_connection(self) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN; the caller closes it.

        Raises:
            OSError, asyncpg.PostgresError, DatabaseOperationError: It could not be made.
        """
        url = await self._ready()
        return await connect(self._listen_url or url, work=self._work)

    async def _connect(self) -> asyncpg.Connection:
        connection = await self._opened(statement_cache_size=0 if self._pooled else _STATEMENTS)
        # As the server prints them: the driver's own Decimals of whole numbers can be 5E+4.
        await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=Decimal)
        return connection

    async def _connect_sender(self) -> asyncpg.Connection:
        return await self._opened(self._listen_url)

    async def _connect_reader(self) -> asyncpg.Connection:
        connection = await self._connect()
        # Not as a startup parameter: pgbouncer refuses those that it does not know. Nor behind a pooler: others would
        # inherit it with the server's connection. The wait for rows is bounded here as well.
        if self._read_timeout is not None and not self._pooled:
            await connection.execute(f"SET statement_timeout = {int(self._read_timeout * 1000)}")
        return connection

    async def _opened(self, url: str | None = None, **options: Any) -> asyncpg.Connection:
        database = await self._ready()
        connection = await connect(
            url or database,
            work=self._work,
            command_timeout=_ANSWER_SECONDS,
            connection_class=_Connection,
            **options,
        )
        self._connections.add(connection)
        return connection

    async def _ready(self) -> str:
        """The URL of the database, which is up and migrated."""
        async with self._preparing:
            if self._closed:
                raise DatabaseUnavailable("these database operations were closed; get new ones")
            url = self._database if isinstance(self._database, str) else await self._database.start()
            if not self._prepared:
                if self._migrating:
                    await migrate(url)
                self._pooled = await is_pooled(url)
                self._prepared = True
            return url


def _refuse_closed(connection: Any, *_: object) -> None:
    # The driver knows of a server that went away, at no cost; a ping before each use would be one more round trip.
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


_operations: dict[str, DatabaseOperations] = {}


def get_database_operations(
    url: str | Logger | None = None, logger: Logger | None = None, *, data_dir: str | Path | None = None
) -> DatabaseOperations:
    """The operations on the database at `url`, or on the embedded one of `data_dir`: one object per process and place
    until it is closed.

    Without either the environment says, and a file .env in the current folder, as for the command line: DATABASE_URL or
    POSTGRES_* (and DATABASE_LISTEN_URL); else it is the embedded database of the default data folder. DEBUG=true there
    logs all SQL, and DATABASE_POOL_SIZE counts.

    A logger, which may also stand first, is told from then on what is done through the object.

    Raises:
        InvalidValue: The URL is not PostgreSQL's, an argument is something else, a URL and a folder are given, or .env
            can't be read.
    """
    if url is not None and not isinstance(url, str):
        if logger is not None or not is_logger(url):
            raise InvalidValue("url", f"{shown(url)} is not a string such as postgresql://user@host:5432/database")
        url, logger = None, url
    if logger is not None and not is_logger(logger):
        raise InvalidValue("logger", f"{shown(logger)} is no logger of logging or structlog")
    if data_dir is not None and not isinstance(data_dir, str | Path):
        raise InvalidValue("data_dir", f"{shown(data_dir)} is not the path of a folder")
    if url is not None and data_dir is not None:
        raise InvalidValue("data_dir", "a URL was given too, and there is one database: leave one of them out")
    environ = environment()
    named = url is not None or data_dir is not None
    chosen = url if named else database_url(environ)
    folder = Path(data_dir or default_data_dir(environ)).expanduser().resolve()
    place = chosen or str(folder)
    operations = _operations.get(place)
    if operations is None or operations.closed:
        operations = _operations[place] = DatabaseOperations(
            chosen or EmbeddedPostgres(folder),
            listen_url=environ.get("DATABASE_LISTEN_URL") or None if chosen and not named else None,
            pool_size=pool_size(environ),
        )
    operations.log_to(logger, log_sql=wants_sql_logged(environ))
    return operations
