"""Run by repos.migrations.upgrade, or at the command line by `alembic -x url=postgresql://... check`."""

import asyncio

import sqlalchemy as sa
from alembic import context

from repos.migrations.upgrade import connected
from repos.tables import metadata


def run(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


async def run_alone() -> None:
    async with connected(context.get_x_argument(as_dictionary=True)["url"]) as connection, connection.begin():
        await connection.run_sync(run)


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_alone())
else:
    run(given)
