"""The database that a command works on."""

from pathlib import Path

from candleql.settings import Settings
from repos.address import environment
from repos.embedded.server import EmbeddedPostgres, default_data_dir
from repos.operations import DatabaseOperations


def place(settings: Settings, data_dir: Path | None) -> str | EmbeddedPostgres:
    """The database that the user means: an explicit folder, else the environment's, else the default folder."""
    if data_dir is None and settings.url is not None:
        return settings.url
    return EmbeddedPostgres(data_dir or default_data_dir(environment()))


def database(settings: Settings, data_dir: Path | None, work: str | None = None) -> DatabaseOperations:
    """That database for a command; its connections are named for its `work`."""
    found = place(settings, data_dir)
    listen_url = settings.database_listen_url or None
    if isinstance(found, str):
        return DatabaseOperations(
            found,
            listen_url=listen_url,
            log_sql=settings.debug,
            pool_size=settings.database_pool_size,
            # A transaction pooler, told by its own URL for LISTEN, refuses connections that bring settings along.
            read_timeout=None if listen_url else settings.query_timeout,
            work=work,
        )
    return DatabaseOperations(
        found,
        log_sql=settings.debug,
        pool_size=settings.database_pool_size,
        read_timeout=settings.query_timeout,
        work=work,
    )
