"""What a subscription wants to know of each event, and when two want the same."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, cast

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    Node,
    VariableNode,
    Visitor,
    create_source_event_stream,
    execute_subscription_event,
    visit,
)
from graphql.execution import Executor
from strawberry import Schema
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gql.errors import presentable
from repos.feed.reading import Reading


@dataclass(frozen=True, slots=True)
class Selection:
    """Selections with equal keys make the same of the same event."""

    key: tuple[object, ...]
    executor: Executor[Any]

    def payload(self, event: object) -> bytes:
        """The payload of a `next` message for one event: JSON."""
        result = execute_subscription_event(self.executor.build_per_event_executor(event))
        if isawaitable(result):
            raise TypeError("an event of a shared subscription must resolve without waiting")
        content: dict[str, Any] = {"data": result.data}
        if result.errors:
            content["errors"] = [error.formatted for error in presentable(result.errors)]
        return orjson.dumps(content)


async def shared(
    schema: Schema, query: str, variables: dict[str, Any] | None, operation_name: str | None, context: object
) -> tuple[Selection, Reading[Any]] | None:
    """The selection of a subscription whose events can be shared, and a reading of its topic that has not begun.

    None for any other operation, and for one with a mistake in it. `context` serves all who share, so nothing of the
    caller may be in it.
    """
    executor = await _prepared(schema, query, variables, operation_name, context)
    if executor is None:
        return None
    source = create_source_event_stream(executor)
    if not isinstance(source, Reading):
        return None
    # Variables that say no more than where to begin, as `after` does, are not in the key: those who come back with
    # cursors of their own share again. (What a caller may see will belong here as soon as callers differ.)
    selected = _Variables()
    for node in _below_the_root_field(executor):
        visit(node, selected)
    given = variables or {}
    values = {name: given[name] for name in sorted(selected.names) if name in given}
    return Selection((query, operation_name, json.dumps(values), source.key), executor), source


async def _prepared(
    schema: Schema, query: str, variables: dict[str, Any] | None, operation_name: str | None, context: object
) -> Executor[Any] | None:
    """Parse, validate and coerce, as Strawberry does before it executes."""
    execution = schema._create_execution_context(  # noqa: SLF001
        query, {OperationType.SUBSCRIPTION}, variables, context, None, operation_name
    )
    extensions = schema.get_extensions()
    for extension in extensions:
        extension.execution_context = execution
    runner = schema.create_extensions_runner(execution, extensions)
    try:
        async with runner.operation():
            failed = await schema._prepare_operation_async(execution, runner)  # noqa: SLF001
    except (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError):
        return None
    if failed is not None:
        return None
    executor = schema.execution_context_class.build(
        schema._schema,  # noqa: SLF001
        cast("DocumentNode", execution.graphql_document),
        None,
        context,
        variables,
        execution.operation_name,
    )
    return executor if isinstance(executor, Executor) else None


def _below_the_root_field(executor: Executor[Any]) -> Iterable[Node]:
    """All of the operation but the arguments of its root field, which name the topic and where to begin."""
    yield from executor.fragment_definitions.values()
    yield from executor.operation.directives or ()
    for node in executor.operation.selection_set.selections:
        if isinstance(node, FieldNode):
            yield from node.directives or ()
            if node.selection_set is not None:
                yield node.selection_set
        else:
            yield node


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)
