"""What comes of an operation, as clients may see it, over whatever transport."""

from typing import Any

import orjson
from strawberry.types.execution import ExecutionResult

from gql.errors import presentable


def shown(result: Any) -> ExecutionResult:
    """graphql-core's result, with errors as clients may see them."""
    return ExecutionResult(result.data, result.errors and presentable(result.errors))


def has_data(result: ExecutionResult) -> bool:
    """Whether it was executed, though data may be null then: an error of a field has a path."""
    return result.data is not None or any(error.path for error in result.errors or ())


def printed(result: ExecutionResult) -> bytes:
    """JSON of what is shown."""
    content: dict[str, Any] = {"data": result.data}
    if result.errors:
        content = content if has_data(result) else {}
        content["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        content["extensions"] = result.extensions
    return json_bytes(content)


def json_bytes(content: object) -> bytes:
    """`content` as JSON, with integers of any length: an exchange may send them, and they are stored whole."""
    try:
        return orjson.dumps(content)
    except TypeError:  # an integer beyond 64 bits
        return orjson.dumps(_with_digits(content))


def _with_digits(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_digits(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_digits(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(str(value))
    return value
