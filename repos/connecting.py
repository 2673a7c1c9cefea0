"""How a connection to a database is made, whoever makes one."""

from typing import Any

import asyncpg

from repos.libpq import timeout_of


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """A connection to the database at a URL of driver_url's, within the seconds of its connect_timeout.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: It could not be made.
    """
    place, _, query = url.partition("?")
    query, seconds = timeout_of(query)
    try:
        return await asyncpg.connect(f"{place}?{query}" if query else place, timeout=seconds, **options)
    except TimeoutError as error:
        raise TimeoutError(f"no connection within {seconds:g} s") from error
    except UnicodeError as error:
        raise OSError(f"no name server can be asked for such a host: {error}") from error
