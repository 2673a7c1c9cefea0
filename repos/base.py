"""What the repositories share: one transaction a call, and driver errors told in the caller's words."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from repos.arguments import checked
from repos.errors import DatabaseOperationError, DatabaseTooSlow, DatabaseUnavailable, DataRefused
from repos.hot import hot_transaction

if TYPE_CHECKING:
    from repos.feed.bus import Bus

# Failures that pass: the server is starting, stopping, full, failing over (read-only), or the connection broke.
_PASSING = (
    OSError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
_REFUSING = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""SQLSTATE class 22 and class 23."""


DRIVER_ERRORS = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # asyncpg is confused for a moment when a connection breaks between two steps of one statement.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""All that a database, its connection or its pool can raise."""


def translated(attempt: str, error: Exception) -> DatabaseOperationError:
    """`error` in the caller's words; its __cause__ is the driver's own error."""
    driver: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        driver = error.orig.__cause__ or error.orig
    lost = isinstance(driver, _PASSING) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    kind = DatabaseUnavailable if lost else DatabaseOperationError
    if isinstance(driver, asyncpg.QueryCanceledError):
        kind = DatabaseTooSlow
    elif isinstance(driver, _REFUSING) or _is_unencodable(driver):
        kind = DataRefused
    made = kind(f"{attempt}: {str(driver) or type(driver).__name__}")
    made.__cause__ = driver
    return made


def _is_unencodable(error: BaseException) -> bool:
    # The driver has the values that it can't encode, and a wrong URL, for errors of its interface and of values.
    is_value = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    return is_value and not isinstance(error, asyncpg.exceptions.ClientConfigurationError)


class BaseRepository:
    """A repository holds the engine, never a session: each call is one transaction, so calls can run side by side.

    The public methods of those that inherit it raise InvalidValue for arguments of wrong types (repos.arguments).
    """

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and iscoroutinefunction(method):
                setattr(cls, name, checked(method))

    def __init__(self, engine: AsyncEngine, bus: "Bus", logger: structlog.typing.FilteringBoundLogger) -> None:
        self._engine = engine
        self._bus = bus
        self._log = logger

    @asynccontextmanager
    async def _transaction(self, attempt: str) -> AsyncIterator[AsyncConnection]:
        """A connection inside a transaction, which commits at the end and rolls back on an error.

        Raises:
            DatabaseOperationError: The database failed; `attempt` ("storing 3 candles") opens its text.
        """
        with self._failing(attempt):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _hot_transaction(self, attempt: str) -> AsyncIterator[AsyncConnection]:
        """As `_transaction`, for statements that are Hot (repos.hot), and no others."""
        with self._failing(attempt):
            async with hot_transaction(self._engine) as connection:
                yield connection

    @contextmanager
    def _failing(self, attempt: str) -> Iterator[None]:
        """Tells what the driver raises in this block in the caller's words.

        Raises:
            DatabaseOperationError: The database failed; `attempt` opens its text.
        """
        try:
            yield
        except DRIVER_ERRORS as error:
            failure = translated(attempt, error)
            self._log.error("Database operation failed", attempt=attempt, error=str(failure.__cause__))
            raise failure from failure.__cause__
