"""Statements whose parameters are so many that SQLAlchemy's execution shows: compiled once, run by asyncpg itself."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection


class Hot:
    """A statement of SQLAlchemy Core for asyncpg, which keeps it prepared on each connection."""

    def __init__(self, statement: sa.ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
        self.text = str(compiled)
        self._names: list[str] = compiled.positiontup
        self._constants: dict[str, Any] = compiled.params

    async def fetch(self, connection: AsyncConnection, parameters: dict[str, Any]) -> list[Any]:
        """The rows, as asyncpg gives them. `connection` must have executed something in its transaction: SQLAlchemy
        begins one with the first statement that it executes itself.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: The driver's own, of repos.base.DRIVER_ERRORS.
        """
        if connection.engine.echo:
            connection.engine.sync_engine.logger.info(self.text)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        return await driver.fetch(self.text, *self.arguments(parameters))  # type: ignore[no-any-return]

    def arguments(self, parameters: dict[str, Any]) -> list[Any]:
        """The values for the driver, in its order."""
        values = self._constants | parameters
        return [values[name] for name in self._names]
