"""How a connection to a database is made, whoever makes one."""

from typing import Any
from urllib.parse import parse_qsl

import asyncpg

from repos.application import named
from repos.libpq import timeout_of


async def connect(url: str, *, work: str | None = None, **options: Any) -> asyncpg.Connection:
    """A connection to the database at a URL of driver_url's, within the seconds of its connect_timeout; named for the
    process and its `work`, where that is given.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: It could not be made.
    """
    place, _, query = url.partition("?")
    query, seconds = timeout_of(query)
    if work is not None:
        given = dict(parse_qsl(query)).get("application_name", "")
        options["server_settings"] = {"application_name": named(work, given)}
    try:
        return await asyncpg.connect(f"{place}?{query}" if query else place, timeout=seconds, **options)
    except TimeoutError as error:
        raise TimeoutError(f"no connection within {seconds:g} s") from error
    except UnicodeError as error:
        raise OSError(f"no name server can be asked for such a host: {error}") from error
