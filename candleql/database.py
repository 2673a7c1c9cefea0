"""The database that a command works on."""

from pathlib import Path

from candleql.settings import Settings
from repos.address import environment
from repos.embedded.server import EmbeddedPostgres, default_data_dir
from repos.operations import DatabaseOperations


def database(settings: Settings, data_dir: Path | None) -> DatabaseOperations:
    """The database that the user means: an explicit folder, else the environment's, else the default folder."""
    url = settings.url
    listen_url = settings.database_listen_url or None
    if data_dir is None and url is not None:
        return DatabaseOperations(
            url,
            listen_url=listen_url,
            log_sql=settings.debug,
            pool_size=settings.database_pool_size,
            # A transaction pooler, told by its own URL for LISTEN, refuses connections that bring settings along.
            read_timeout=None if listen_url else settings.query_timeout,
        )
    embedded = EmbeddedPostgres(data_dir or default_data_dir(environment()))
    return DatabaseOperations(
        embedded,
        log_sql=settings.debug,
        pool_size=settings.database_pool_size,
        read_timeout=settings.query_timeout,
    )
