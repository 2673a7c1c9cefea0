"""What comes of an operation, as clients may see it, over whatever transport."""

from typing import Any

from strawberry.types.execution import ExecutionResult

from gql.errors import presentable
from repos.json_text import written


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
    return written(content)
