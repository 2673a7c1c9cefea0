"""What a selection asks of a value, as a key: equal shapes are answered by one function (gql.execution.projection)."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, NamedTuple

from graphql import (
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    is_leaf_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetailsList
from strawberry.types.field import StrawberryField

Collect = Callable[[GraphQLObjectType, FieldDetailsList], CollectedFields]
Shape = tuple[Any, ...]


class NotProjectable(Exception):
    """The selection asks for more than attributes and resolvers without arguments; the text names the field."""


class Resolved(NamedTuple):
    """A field whose value `function` makes of the parent, and of the info where it takes that; it may have to wait."""

    function: Callable[..., Any]
    takes_info: bool
    may_wait: bool


def shape_of(declared: GraphQLOutputType, details: FieldDetailsList, collect: Collect) -> Shape:
    """What is selected of a value of the type `declared`.

    A shape is ("null", shape) for a nullable value, ("list", shape), ("leaf", type) or
    ("object", type's name, ((response name, source, shape), ...)), where a source is the name of an attribute, a
    Resolved, or None for __typename.

    Raises:
        NotProjectable: A part of it has arguments, extensions or permissions, is abstract or deferred.
    """
    if not isinstance(declared, GraphQLNonNull):
        return ("null", shape_of(GraphQLNonNull(declared), details, collect))
    inner = declared.of_type
    if isinstance(inner, GraphQLList):
        return ("list", shape_of(inner.of_type, details, collect))
    if is_leaf_type(inner):
        return ("leaf", inner)
    if not isinstance(inner, GraphQLObjectType) or inner.is_type_of is not None:
        raise NotProjectable(f"{inner}")
    grouped, deferred, _ = collect(inner, details)
    if deferred:
        raise NotProjectable(f"{inner} @defer")
    fields: list[tuple[str, str | Resolved | None, Shape]] = []
    for response_name, selected in grouped.items():
        name = selected[0].node.name.value
        if name == "__typename":
            fields.append((response_name, None, ("leaf", GraphQLString)))
            continue
        field = inner.fields[name]
        source = _source(field)
        if source is None:
            raise NotProjectable(f"{inner}.{name}")
        fields.append((response_name, source, shape_of(field.type, selected, collect)))
    return ("object", inner.name, tuple(fields))


def _source(field: GraphQLField) -> str | Resolved | None:
    definition = field.extensions.get("strawberry-definition")
    if field.args or not isinstance(definition, StrawberryField) or definition.extensions:
        return None
    resolver = definition.base_resolver
    if resolver is None:
        return definition.python_name
    taken = [parameter.name for parameter in (resolver.parent_parameter, resolver.info_parameter) if parameter]
    if resolver.parent_parameter is None or list(resolver.signature.parameters) != taken:
        return None
    takes_info = len(taken) > 1
    function: Any = resolver.wrapped_func
    return Resolved(function, takes_info, takes_info or iscoroutinefunction(function))
