"""What the repositories tell of their work, and to whom."""

import logging
from typing import Any

import structlog

Logger = logging.Logger | logging.LoggerAdapter[Any] | structlog.typing.FilteringBoundLogger
SQL = "repos.sql"
"""The logger of statements, unless another is passed."""
_STANDARD = (logging.Logger, logging.LoggerAdapter)


class Logs:
    """The logger that all repositories of a database share. It can be another one later, while they hold it."""

    def __init__(self, logger: Logger | None, log_sql: bool) -> None:
        """Without a logger it is structlog's "repos" (for SQL: SQL), or logging's where only that was set up.

        `log_sql` tells each statement, once and on one line.
        """
        self._point(logger)
        self._tell_sql(log_sql)
        # A logger has too many methods to repeat them here.
        self.bound: structlog.typing.FilteringBoundLogger = _Pointer(self)

    def point(self, logger: Logger | None, log_sql: bool) -> None:
        """Tell `logger`, unless it is None, from now on; and statements, if `log_sql`."""
        self._tell_sql(log_sql)
        if logger is not None:
            self._point(logger)

    def statement(self, text: str) -> None:
        """Tell a statement, if that is wanted."""
        if self._log_sql:
            self._sql.info(" ".join(text.split()))

    def executed(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        """As `statement`, of SQLAlchemy's event before_cursor_execute."""
        self.statement(statement)

    def _tell_sql(self, log_sql: bool) -> None:
        self._log_sql = log_sql
        if log_sql:  # who asks for statements sees them, whatever the level of others is
            logging.getLogger(SQL).setLevel(logging.INFO)

    def _point(self, logger: Logger | None) -> None:
        self.target = _bound(logger, "repos")
        self._sql = _bound(logger, SQL)


class _Pointer:
    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logs.target, name)


def is_logger(value: object) -> bool:
    """Whether it is a logger of logging or of structlog."""
    # structlog's own are proxies that become what they are asked for.
    return isinstance(value, _STANDARD) or all(hasattr(type(value), name) for name in ("bind", "unbind", "new"))


def _bound(logger: Logger | None, name: str) -> Any:
    if logger is None:
        # structlog prints where nothing was set up; a program that has set up logging looks there.
        is_printing = structlog.is_configured() or not logging.getLogger().handlers
        logger = structlog.get_logger(name) if is_printing else logging.getLogger(name)
    if isinstance(logger, _STANDARD):
        return structlog.wrap_logger(logger, processors=[_as_text], wrapper_class=structlog.stdlib.BoundLogger)
    return logger


def _as_text(_: object, __: str, event: structlog.typing.EventDict) -> str:
    return " ".join([str(event.pop("event")), *(f"{key}={value}" for key, value in event.items())])
