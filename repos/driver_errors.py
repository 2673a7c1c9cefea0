"""What a database, its driver and its pool raise, in the caller's words."""

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from repos.errors import DatabaseOperationError, DatabaseTooSlow, DatabaseUnavailable, DataRefused

# Failures that pass: the server is starting, stopping, full, failing over (read-only), or the connection broke.
_PASSING = (
    OSError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
_REFUSING = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""SQLSTATE class 22 and class 23."""


DRIVER_ERRORS = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # asyncpg is confused for a moment when a connection breaks between two steps of one statement.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""All that a database, its connection or its pool can raise."""


def translated(attempt: str, error: Exception) -> DatabaseOperationError:
    """`error` in the caller's words; its __cause__ is the driver's own error."""
    driver: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        driver = error.orig.__cause__ or error.orig
    lost = isinstance(driver, _PASSING) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    kind = DatabaseUnavailable if lost else DatabaseOperationError
    if isinstance(driver, asyncpg.QueryCanceledError):
        kind = DatabaseTooSlow
    elif isinstance(driver, _REFUSING) or _is_unencodable(driver):
        kind = DataRefused
    made = kind(f"{attempt}: {str(driver) or type(driver).__name__}")
    made.__cause__ = driver
    return made


def _is_unencodable(error: BaseException) -> bool:
    # The driver has the values that it can't encode, and a wrong URL, for errors of its interface and of values.
    is_value = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    return is_value and not isinstance(error, asyncpg.exceptions.ClientConfigurationError)
