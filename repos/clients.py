"""The processes of candleql that have connections to the database, as the database itself tells."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from repos.application import NAME
from repos.base import BaseRepository

_CONNECTIONS = sa.text("""
    SELECT application_name, host(client_addr) AS address, count(*) AS connections, min(backend_start) AS since
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE '%candleql %'
    GROUP BY application_name, client_addr
    ORDER BY since, application_name
""")


class Client(NamedTuple):
    """A process. `work` is its command, `pid` counts on its own machine, `address` is None for a Unix socket, and both
    that and `since` where the role may not see them."""

    work: str
    pid: int
    address: str | None
    connections: int
    since: datetime | None


class ClientRepository(BaseRepository):
    """Of the database alone, not of its whole server."""

    async def all(self) -> list[Client]:
        """The oldest first, this process among them.

        Raises:
            DatabaseOperationError: The database failed.
        """
        async with self._transaction("reading who is connected") as connection:
            rows = (await connection.execute(_CONNECTIONS)).all()
        found = [(NAME.search(row.application_name), row) for row in rows]
        return [
            Client(name["work"], int(name["pid"]), row.address, row.connections, row.since)
            for name, row in found
            if name is not None
        ]
