"""Runs what was admitted, over whatever transport: compiled where it can be, and graphql-core's way elsewhere."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, cast

from graphql import GraphQLError, execute, subscribe
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.types.execution import ExecutionResult

from gql.admission import Admitted
from gql.context import Context
from gql.errors import Refused, presentable
from gql.execution.operation import NotCompiled
from gql.http import printed
from gql.selection import Followed, followed
from repos.feed.reading import Reading

_is_awaitable: Any = optimized_is_awaitable


async def answered(schema: Schema, operation: Admitted, context: Context) -> ExecutionResult:
    """The answer of a query or a mutation; its errors are as clients may see them."""
    document, request, _ = operation
    try:
        result = await document.operation(request.operation_name).answer(context, request.variables or {})
    except NotCompiled as reason:
        context.path.fell_back(str(reason))
    else:
        context.path.fast()
        return result
    answer = execute(is_awaitable=_is_awaitable, **_arguments(schema, operation, context))
    return shown(await answer if isawaitable(answer) else answer)


async def payloads(schema: Schema, operation: Admitted, context: Context) -> AsyncGenerator[bytes, None]:
    """What a client is sent of a subscription, as JSON, until it ends; how it failed, too."""
    try:
        found = followed(schema, operation.document, operation.request, context)
        async with aclosing(events(schema, operation, context, found)) as following:
            async for payload in following:
                yield payload
    except Refused as refused:
        yield printed(ExecutionResult(None, refused.errors))
    except Exception as error:  # noqa: BLE001 -- the last place where it can be logged and masked
        yield failure(error)


async def events(
    schema: Schema, operation: Admitted, context: Context, found: Followed | None
) -> AsyncGenerator[bytes, None]:
    """What a client is sent of a subscription, as JSON; `found` is what was found of it, if it can be followed.

    Raises:
        Refused: It can't begin.
        Exception: It failed.
    """
    if found is None:
        source = await _subscribed(schema, operation, context)
        async with aclosing(cast("AsyncGenerator[Any, None]", source)):
            async for result in source:
                yield printed(shown(result))
        return
    selection, source, info = found
    async with aclosing(cast("AsyncGenerator[Any, None]", source)):
        async for event in source:
            yield selection.payload(event) if isinstance(source, Reading) else await selection.loaded(event, info)


async def _subscribed(schema: Schema, operation: Admitted, context: Context) -> AsyncIterable[Any]:
    begun = subscribe(**_arguments(schema, operation, context))
    source: Any = await begun if isawaitable(begun) else begun
    if not isinstance(source, AsyncIterable):
        raise Refused(*presentable(source.errors))
    return source


def _arguments(schema: Schema, operation: Admitted, context: Context) -> dict[str, Any]:
    document, request, _ = operation
    return {
        "schema": schema._schema,  # noqa: SLF001
        "document": document.node,
        "context_value": context,
        "variable_values": request.variables,
        "operation_name": request.operation_name,
        "executor_class": schema.execution_context_class,
    }


def shown(result: Any) -> ExecutionResult:
    """graphql-core's result as clients may see it."""
    return ExecutionResult(result.data, result.errors and presentable(result.errors))


def failure(error: Exception) -> bytes:
    """What is sent of a subscription that failed, as JSON."""
    return printed(ExecutionResult(None, presentable([GraphQLError(str(error), original_error=error)])))
