"""What the repositories share: one transaction a call."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from inspect import iscoroutinefunction

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from repos.arguments import checked
from repos.driver_errors import DRIVER_ERRORS, translated
from repos.hot import hot_transaction


class BaseRepository:
    """A repository holds the engine, never a session: each call is one transaction, so calls can run side by side.

    The public methods of those that inherit it raise InvalidValue for arguments of wrong types (repos.arguments).
    """

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and iscoroutinefunction(method):
                setattr(cls, name, checked(method))

    def __init__(self, engine: AsyncEngine, logger: structlog.typing.FilteringBoundLogger) -> None:
        self._engine = engine
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
