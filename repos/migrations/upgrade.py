"""Brings a database to the tables that this code knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from repos.address import describe
from repos.connecting import connect
from repos.driver_errors import DRIVER_ERRORS, translated
from repos.errors import DatabaseOperationError

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
KNOWN = sorted(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))
"""All revisions, oldest first. They are numbered, and a file's name begins with its own."""
_LOCK = int.from_bytes(b"candleql")


async def migrate(url: str) -> None:
    """Run the migrations that the database lacks: all in one transaction, hence all or none. Quick when there are none.

    Processes that start together are safe: one migrates while the others wait for its lock.

    Raises:
        DatabaseUnavailable: The database could not be reached.
        DatabaseOperationError: A migration failed, or the database is newer than this code.
    """
    try:
        revision = await revision_of(url)
        if revision not in (None, *KNOWN):
            raise DatabaseOperationError(
                f"the database is at revision {revision}, but this candleql knows none after {KNOWN[-1]}: "
                f"it was migrated by a newer one, which is needed to use it"
            )
        if revision != KNOWN[-1]:
            async with connected(url) as connection, connection.begin():
                # Of the transaction, not the session, whose server connection a transaction pooler may exchange.
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                await connection.run_sync(_upgrade)
    except DRIVER_ERRORS as error:
        failure = translated(f"migrating {describe(url)}", error)
        raise failure from failure.__cause__


async def is_pooled(url: str) -> bool:
    """Whether a pooler such as pgbouncer answers at `url`: it tells its clients a process id of its own making.

    It may then give each transaction another connection to the server, on which a statement that was prepared under a
    name is unknown, or is another one.

    Raises:
        DatabaseUnavailable: The database could not be reached.
    """
    try:
        connection = await connect(url, statement_cache_size=0)
        try:
            served_by: int = await connection.fetchval("SELECT pg_backend_pid()")
            told: int = connection.get_server_pid()
            return served_by != told
        finally:
            await connection.close(timeout=10)
    except DRIVER_ERRORS as error:
        failure = translated("looking for a pooler before the database", error)
        raise failure from failure.__cause__


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection of SQLAlchemy's to a database whose URL asyncpg understands."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(url, statement_cache_size=0),
        poolclass=NullPool,
        # Whatever the role's default is: who waited for the lock must see what the one before it has done.
        isolation_level="READ COMMITTED",
        connect_args={"prepared_statement_name_func": str},  # none: a pooler would give them to others
    )
    async with engine.connect() as connection:
        yield connection


async def revision_of(url: str) -> str | None:
    """The revision of the tables; None where there are none.

    Raises:
        DatabaseOperationError: The database is not in UTF8.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: It could not be reached.
    """
    connection = await connect(url, statement_cache_size=0)
    try:
        encoding = connection.get_settings().server_encoding
        if encoding != "UTF8":
            raise DatabaseOperationError(
                f"the database's encoding is {encoding}, which can't hold all names: use one that was made with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close(timeout=10)
    return revision


def _upgrade(connection: sa.Connection) -> None:
    # Imported when there is work: that takes longer than all else that a start does here.
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: sa.Connection) -> "Config":
    """What Alembic's commands need to work on that connection."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER))
    return config
