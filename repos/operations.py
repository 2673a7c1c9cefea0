"""The door to the store: one object with the repositories, whatever database is behind it."""

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from repos.address import READ_HERE, database_url, environment, pool_size, tell_misspelt, wants_sql_logged
from repos.bots import BotRepository
from repos.clients import ClientRepository
from repos.connections import Connections
from repos.domain import InvalidValue, Stats, of_type, positive, shown
from repos.driver_errors import DRIVER_ERRORS
from repos.embedded.server import EmbeddedPostgres, default_data_dir, folder_at
from repos.epoch import EpochRepository
from repos.errors import DatabaseOperationError
from repos.events import DatabaseHealth
from repos.feed.bus import Bus
from repos.gaps import GapRepository
from repos.instruments import InstrumentRepository
from repos.keys import KeyRepository
from repos.libpq import unkept
from repos.loggers import Logger, Logs, is_logger
from repos.market_data import MarketDataRepository
from repos.raw_trades import RawTradeRepository
from repos.stats import StatsReader
from repos.tape import TapeRepository
from repos.wire import WireConnections

_CHECK_SECONDS = 5.0


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
            InvalidValue: A URL is not PostgreSQL's, or an argument is of another type or out of bounds.
        """
        if not isinstance(database, str | EmbeddedPostgres):
            raise InvalidValue("database", f"{shown(database)} is neither a URL nor an EmbeddedPostgres")
        for name, text in (("listen_url", listen_url), ("work", work)):
            if text is not None:
                of_type(name, text, str)
        _check_logger(logger)
        for name, flag in (("log_sql", log_sql), ("migrating", migrating)):
            of_type(name, flag, bool)
        of_type("pool_size", pool_size, int)
        of_type("max_overflow", max_overflow, int)
        for name, amount in (("pool_size", pool_size), ("pool_timeout", pool_timeout), ("pool_recycle", pool_recycle)):
            positive(name, amount)
        if read_timeout is not None:
            positive("read_timeout", read_timeout)
        self._logs = Logs(logger, log_sql)
        self.log = self._logs.bound
        self._connections = Connections(
            database, listen_url, self._logs, read_timeout=read_timeout, work=work, migrating=migrating
        )
        if isinstance(database, str) and (missed := unkept(database)):
            self.log.warning(missed)
        self.engine = self._connections.engine(
            self._connections.pooled,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=pool_timeout,
            pool_recycle=int(pool_recycle),
            # The connection used last has the warmest caches, and spare ones are left to age.
            pool_use_lifo=True,
        )
        # A standby can't send news, and where LISTEN has a URL of its own, the other one may lead there.
        self._sender = self.engine
        if listen_url is not None:
            self._sender = self._connections.engine(self._connections.sender, pool_size=1, max_overflow=0)
        self.bus = Bus(self._sender, self._connections.listen)
        self._wire = WireConnections(self._connections.reader, pool_size, pool_timeout, self._logs.statement)
        self.epoch = EpochRepository(self.engine, self.log)
        self.market_data = MarketDataRepository(self.engine, self.bus, self.log, self._wire, self.epoch)
        self.tape = TapeRepository(self.engine, self.bus, self.log)
        self.gaps = GapRepository(self.engine, self.bus, self.log)
        self.raw_trades = RawTradeRepository(self.engine, self.log, self.tape)
        self.bots = BotRepository(self.engine, self.bus, self.log, self._wire)
        self.instruments = InstrumentRepository(self.engine, self.log)
        self.keys = KeyRepository(self.engine, self.log)
        self.clients = ClientRepository(self.engine, self.log)
        self.stats = StatsReader(self.engine, self.log)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_embedded(self) -> bool:
        return isinstance(self._connections.database, EmbeddedPostgres)

    @property
    def place(self) -> dict[str, str]:
        """Where the database is: the data folder of an embedded one, else host, port, database and user."""
        return self._connections.place

    @property
    def closed(self) -> bool:
        return self._connections.closed

    async def open(self) -> None:
        """Have the database up and migrated now, rather than with the first call.

        Raises:
            DatabaseUnavailable: It can't be reached or started.
            DatabaseOperationError: It can't be migrated.
        """
        await self._connections.ready()
        await self.epoch.known()

    async def close(self) -> None:
        """Close the connections, and stop the embedded server if this process owns it; again is fine."""
        self._connections.terminate()
        try:
            await self.engine.dispose()
            await self._sender.dispose()
        finally:
            if isinstance(self._connections.database, EmbeddedPostgres):
                await self._connections.database.stop()

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
            await self._connections.ready()
            begun = time.perf_counter()
            async with asyncio.timeout(_CHECK_SECONDS), self.engine.connect() as connection:
                await connection.execute(sa.select(1))
            latency = (time.perf_counter() - begun) * 1000
        except (DatabaseOperationError, *DRIVER_ERRORS) as error:
            self.log.warning("The database does not answer", reason=str(error) or type(error).__name__)
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


_operations: dict[str, DatabaseOperations] = {}


def get_database_operations(
    url: str | Logger | None = None, logger: Logger | None = None, *, data_dir: str | Path | None = None
) -> DatabaseOperations:
    """The operations on the database at `url`, or on the embedded one of `data_dir`: one object per process and place
    until it is closed.

    Without either the environment says, and a file .env in the current folder, as for the command line: DATABASE_URL or
    POSTGRES_* (and DATABASE_LISTEN_URL); else it is the embedded database of the default data folder. DEBUG=true there
    logs all SQL, and DATABASE_POOL_SIZE counts. A name in .env that is nearly one of these is told in the log.

    A logger, which may also stand first, is told from then on what is done through the object.

    Raises:
        InvalidValue: The URL is not PostgreSQL's, an argument is something else, a URL and a folder are given, or .env
            can't be read.
    """
    if url is not None and not isinstance(url, str):
        if logger is not None or not is_logger(url):
            raise InvalidValue("url", f"{shown(url)} is not a string such as postgresql://user@host:5432/database")
        url, logger = None, url
    _check_logger(logger)
    if url is not None and data_dir is not None:
        raise InvalidValue("data_dir", "a URL was given too, and there is one database: leave one of them out")
    environ = environment()
    named = url is not None or data_dir is not None
    chosen = url if named else database_url(environ)
    folder = folder_at("data_dir", default_data_dir(environ) if data_dir is None else data_dir)
    place = chosen or str(folder)
    operations = _operations.get(place)
    if operations is None or operations.closed:
        operations = _operations[place] = DatabaseOperations(
            chosen or EmbeddedPostgres(folder),
            listen_url=environ.get("DATABASE_LISTEN_URL") or None if chosen and not named else None,
            logger=logger,
            pool_size=pool_size(environ),
        )
        tell_misspelt(READ_HERE, operations.log)
    operations.log_to(logger, log_sql=wants_sql_logged(environ))
    return operations


def _check_logger(logger: Logger | None) -> None:
    if logger is not None and not is_logger(logger):
        raise InvalidValue("logger", f"{shown(logger)} is no logger of logging or structlog")
