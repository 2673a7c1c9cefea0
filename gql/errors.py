"""The one error path: what leaves here has extensions.code, and says to a client only what is meant for one.

A user's mistake names the argument. Everything unforeseen is logged whole and told as "Internal server error", with a
requestId that the log has too.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import structlog
from graphql import GraphQLError

from repos.domain import InvalidValue
from repos.errors import DatabaseTooSlow, DatabaseUnavailable, DomainError

log = structlog.get_logger(__name__)

BAD_USER_INPUT = "BAD_USER_INPUT"
UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"
COST_LIMIT_EXCEEDED = "COST_LIMIT_EXCEEDED"
PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
RATE_LIMITED = "RATE_LIMITED"
UNAVAILABLE = "DATABASE_UNAVAILABLE"
INTERNAL = "INTERNAL_SERVER_ERROR"
PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"

_OURS = ("exchange", "symbol", "data_type", "timestamp", "data", "raw_data")
_SNAKE = re.compile(r"_([a-z])")


class Refused(Exception):
    """An operation does not run; `errors` are as clients may see them."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = list(errors)


class Unauthenticated(Refused):
    """Who asks is not known, or no longer."""

    def __init__(self, message: str) -> None:
        super().__init__(GraphQLError(message, extensions={"code": UNAUTHENTICATED}))


def refused(code: str, message: str, **extensions: Any) -> Refused:
    """A refusal for one reason."""
    return Refused(GraphQLError(message, extensions={"code": code, **extensions}))


@contextmanager
def inside(place: str, raw: str | None = None) -> Iterator[None]:
    """Prefix what the domain refuses in this block with the argument it came in, such as input[3].

    Where `raw` names the argument's field that holds an exchange's object, the exchange's own names are inside that.
    """
    try:
        yield
    except InvalidValue as error:
        theirs = raw is not None and error.name not in _OURS
        where = f"{place}.{raw}" if theirs else place
        raise InvalidValue(f"{where}.{error.name}", error.problem) from error


def presentable(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    """`errors` as clients may see them. Those that no one foresaw share one requestId and are logged."""
    request_id = uuid4().hex
    return [_presentable(error, request_id) for error in errors]


def _presentable(error: GraphQLError, request_id: str) -> GraphQLError:
    if error.extensions and "code" in error.extensions:
        return error
    cause = _cause(error)
    if isinstance(cause, InvalidValue):
        name = _SNAKE.sub(lambda match: match[1].upper(), cause.name)
        return _told(error, f"{name}: {cause.problem}", BAD_USER_INPUT)
    if isinstance(cause, DatabaseTooSlow):
        return _told(error, "The database took longer than a query may take; ask for less", cause.code)
    if isinstance(cause, DatabaseUnavailable):
        log.warning("Database unavailable", request_id=request_id, error=str(cause))
        return _told(error, "The database can't be reached; try again later", cause.code, requestId=request_id)
    if isinstance(cause, DomainError) and cause.code != INTERNAL:
        return _told(error, str(cause), cause.code)
    if _is_of_the_request(error, cause):
        return _told(error, error.message, BAD_USER_INPUT)
    log.error("Request failed", request_id=request_id, path=error.path, exc_info=cause)
    return _told(error, "Internal server error", INTERNAL, requestId=request_id)


def _cause(error: GraphQLError) -> Exception:
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _is_of_the_request(error: GraphQLError, cause: Exception) -> bool:
    """Whether graphql-core complains of a variable, which belongs to no path, or of an argument, whose node it names.

    Values that it could not serialize are the same class of error, but come with a path and without a node.
    """
    return isinstance(cause, GraphQLError) and (error.path is None or bool(cause.nodes))


def _told(error: GraphQLError, message: str, code: str, **more: Any) -> GraphQLError:
    """`error` in these words; no original_error, so that nothing of it can leak."""
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": code, **more},
    )
