"""Statements that are executed so often that SQLAlchemy's execution shows: compiled once, run by asyncpg itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

SQL_LOG = "log_sql"
"""The engine's execution option that is told each statement."""


class Hot:
    """A statement of SQLAlchemy Core for asyncpg, which keeps it prepared on each connection."""

    def __init__(self, statement: sa.ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
        self.text = str(compiled)
        self._names: list[str] = compiled.positiontup
        self._constants: dict[str, Any] = compiled.params

    async def fetch(self, connection: AsyncConnection, parameters: dict[str, Any]) -> list[Any]:
        """The rows, as asyncpg gives them. `connection` is in a transaction: of `hot_transaction`, or of SQLAlchemy,
        which begins it with the first statement that it executes itself.

        Raises:
            Exception: One of repos.driver_errors.DRIVER_ERRORS.
        """
        connection.sync_engine.get_execution_options()[SQL_LOG](self.text)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        return await driver.fetch(self.text, *self.arguments(parameters))  # type: ignore[no-any-return]

    def arguments(self, parameters: dict[str, Any]) -> list[Any]:
        """The values for the driver, in its order."""
        values = self._constants | parameters
        return [values[name] for name in self._names]


@asynccontextmanager
async def hot_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction for Hot statements alone: the driver's, of which SQLAlchemy does not know.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, sqlalchemy.exc.SQLAlchemyError: The database failed.
    """
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        transaction = driver.transaction(isolation="read_committed")
        try:
            await transaction.start()
            yield connection
            await transaction.commit()
        finally:
            if driver.is_in_transaction():
                # It failed or was cancelled. A rollback would wait for a server, which may be what is gone.
                driver.terminate()
