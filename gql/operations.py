"""Runs what was admitted, over whatever transport: compiled where it can be, and graphql-core's way elsewhere."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, cast

from graphql import GraphQLError, execute, subscribe
from strawberry.execution import optimized_is_awaitable
from strawberry.types.execution import ExecutionResult

from gql.admission import Admitted
from gql.context import Context
from gql.deadline import Late
from gql.errors import UNAVAILABLE, Refused, presentable, refused
from gql.execution.operation import NotCompiled
from gql.results import printed, shown
from gql.selection import Followed, followed
from repos.feed.reading import Reading

_is_awaitable: Any = optimized_is_awaitable


async def answered(asked: Admitted, context: Context) -> ExecutionResult:
    """The answer of a query or a mutation; its errors are as clients may see them.

    Raises:
        Refused: It took too long.
    """
    deadline = context.resources.gate.deadline
    try:
        return await deadline.kept(_answered(asked, context))
    except Late as late:
        message = f"The operation was ended: it took longer than {deadline.seconds:g} s"
        raise refused(UNAVAILABLE, message) from late


async def _answered(asked: Admitted, context: Context) -> ExecutionResult:
    try:
        result = await asked.operation.compiled().answer(context, asked.variables)
    except NotCompiled as reason:
        context.path.fell_back(str(reason))
    else:
        context.path.fast()
        return result
    answer = execute(is_awaitable=_is_awaitable, **_arguments(asked, context))
    return shown(await answer if isawaitable(answer) else answer)


async def payloads(asked: Admitted, context: Context) -> AsyncGenerator[bytes, None]:
    """What a client is sent of a subscription, as JSON, until it ends; how it failed, too."""
    try:
        async with aclosing(events(asked, context, followed(asked, context))) as following:
            async for payload in following:
                yield payload
    except Refused as error:
        yield printed(ExecutionResult(None, error.errors))
    except Exception as error:  # noqa: BLE001 -- the last place where it can be logged and masked
        yield failure(error)


async def events(asked: Admitted, context: Context, found: Followed | None) -> AsyncGenerator[bytes, None]:
    """What a client is sent of a subscription, as JSON; `found` is what was found of it, if it can be followed.

    Raises:
        Refused: It can't begin.
        Exception: It failed.
    """
    if found is None:
        source = await _subscribed(asked, context)
        async with aclosing(cast("AsyncGenerator[Any, None]", source)):
            async for result in source:
                yield printed(shown(result))
        return
    selection, source, info = found
    async with aclosing(cast("AsyncGenerator[Any, None]", source)):
        async for event in source:
            yield selection.payload(event) if isinstance(source, Reading) else await selection.loaded(event, info)


async def _subscribed(asked: Admitted, context: Context) -> AsyncIterable[Any]:
    begun = subscribe(**_arguments(asked, context))
    source: Any = await begun if isawaitable(begun) else begun
    if not isinstance(source, AsyncIterable):
        raise Refused(*presentable(source.errors))
    return source


def _arguments(asked: Admitted, context: Context) -> dict[str, Any]:
    schema = context.resources.gate.schema
    return {
        "schema": schema._schema,  # noqa: SLF001
        "document": asked.document.node,
        "context_value": context,
        "variable_values": asked.variables,
        "operation_name": asked.operation.name,
        "executor_class": schema.execution_context_class,
    }


def failure(error: Exception) -> bytes:
    """What is sent of a subscription that failed, as JSON."""
    return printed(ExecutionResult(None, presentable([GraphQLError(str(error), original_error=error)])))
