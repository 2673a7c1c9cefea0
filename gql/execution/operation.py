"""A query compiled once for every request that asks it: no executor, no call for each field of each row.

It answers to the byte as graphql-core would, or says that it can't, and then graphql-core is asked.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationType,
    get_operation_ast,
    is_non_null_type,
    located_error,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList, collect_fields
from strawberry import Info
from strawberry.types.execution import ExecutionResult
from strawberry.types.field import StrawberryField

from gql.errors import presentable
from gql.execution.arguments import Argument, NotCoercible, Variable, arguments_of, coerced, given, variables_of
from gql.execution.fields import switches_of
from gql.execution.projection import Project, projected, projection
from gql.execution.shape import NotProjectable, shape_of

_MOST_PLANS = 16
"""Of one operation; there is one for each choice of its directives' variables."""


class NotCompiled(Exception):
    """Only graphql-core can answer; the text tells why, in terms of the schema."""


class _Root(NamedTuple):
    """A field of the query. `resolve` takes the info and the arguments by name."""

    name: str
    resolve: Callable[..., Any]
    definition: StrawberryField
    arguments: tuple[Argument, ...]
    project: Project
    is_nullable: bool
    nodes: list[FieldNode]


class Context(Protocol):
    """All that is asked here of what resolvers get."""

    def alone(self) -> Any:
        """The same for a single root field."""
        ...


class _Request:
    """All of graphql-core's info that the resolvers read; whoever wants more gets an AttributeError."""

    __slots__ = ("context",)

    def __init__(self, context: Context) -> None:
        self.context = context


class Operation:
    """One query of a valid document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, name: str | None) -> None:
        """Raises:
        NotCompiled: It is not the only one or not there, or it is no query.
        """
        operation = get_operation_ast(document, name)
        if operation is None or operation.operation is not OperationType.QUERY:
            raise NotCompiled("not a query")
        self._schema = schema
        self._document = document
        self._name = name
        self._variables = variables_of(schema, operation)
        switches = switches_of(document)
        self._switches = [variable.name for variable in self._variables if variable.name in switches]
        self._plans: dict[tuple[Any, ...], list[_Root] | str] = {}

    async def answer(self, context: Context, inputs: dict[str, Any]) -> ExecutionResult:
        """The answer: data for orjson, and errors as clients may see them.

        Raises:
            NotCompiled: The variables are not as declared, or a value is not, or a field below the root failed.
        """
        try:
            values = coerced(self._variables, inputs)
            plan = self._plan(values, inputs)
            calls = [(root, given(root.arguments, values)) for root in plan]
        except NotCoercible as reason:
            raise NotCompiled(str(reason)) from reason
        errors: list[GraphQLError] = []
        if len(calls) == 1:
            request = _Request(context.alone())
            data = {calls[0][0].name: await _resolved(*calls[0], request, errors)}
        else:
            request = _Request(context)
            found = await asyncio.gather(*(_resolved(*call, request, errors) for call in calls))
            data = dict(zip((root.name for root, _ in calls), found, strict=True))
        return ExecutionResult(data=data, errors=presentable(errors) if errors else None)

    def _plan(self, values: dict[str, Any], inputs: dict[str, Any]) -> list[_Root]:
        key = tuple([values.get(name) for name in self._switches])
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            try:
                plan = self._compiled(inputs)
            except (NotProjectable, NotCompiled, NotCoercible) as reason:
                plan = str(reason)
            self._plans[key] = plan
        if isinstance(plan, str):
            raise NotCompiled(plan)
        return plan

    def _compiled(self, inputs: dict[str, Any]) -> list[_Root]:
        executor = Executor.build(self._schema, self._document, None, None, inputs, self._name)
        if not isinstance(executor, Executor):
            raise NotCompiled("variables")
        query = cast("Any", self._schema.query_type)
        fields, deferred, _ = collect_fields(
            self._schema, executor.fragments, executor.variable_values, query, executor.operation
        )
        if deferred:
            raise NotCompiled("@defer")
        return [_root(name, details, query.fields, executor, self._variables) for name, details in fields.items()]


def _root(
    name: str, details: FieldDetailsList, fields: dict[str, Any], executor: Executor[Any], variables: list[Variable]
) -> _Root:
    nodes = [detail.node for detail in details]
    field = fields.get(nodes[0].name.value)  # introspection is not among them
    definition = None if field is None else field.extensions.get("strawberry-definition")
    if field is None or not isinstance(definition, StrawberryField):
        raise NotCompiled(f"Query.{nodes[0].name.value}")
    if definition.extensions or definition.base_resolver is None:
        raise NotCompiled(f"Query.{nodes[0].name.value}")
    arguments = arguments_of(field, nodes[0], variables)
    project = projection(shape_of(field.type, details, executor.collect_subfields))
    resolve: Any = definition.base_resolver.wrapped_func
    return _Root(name, resolve, definition, arguments, project, not is_non_null_type(field.type), nodes)


async def _resolved(root: _Root, arguments: dict[str, Any], request: Any, errors: list[GraphQLError]) -> Any:
    info: Info[Any, None] = Info(_raw_info=request, _field=root.definition)
    try:
        value = await root.resolve(None, info=info, **arguments)
    except Exception as error:
        if not root.is_nullable:
            raise NotCompiled(f"Query.{root.definition.python_name}: {type(error).__name__}") from error
        errors.append(located_error(error, root.nodes, [root.name]))
        return None
    try:
        return await projected(root.project, value, info)
    except Exception as error:  # whatever it is, graphql-core finds it again and words it
        raise NotCompiled(f"Query.{root.definition.python_name}: {type(error).__name__}") from error
