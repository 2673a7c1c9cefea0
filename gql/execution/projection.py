"""A selection over rows as one generated function, in the place of a call for each field of each row.

A selection can be projected when it asks only for plain attributes: leaves without arguments, and objects and lists of
such. What the function does not expect it raises on, and the caller takes the way of graphql-core, which knows what to
say; so the answers are the same.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any

from graphql import (
    GraphQLFloat,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    Undefined,
    is_leaf_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetailsList
from strawberry.types.field import StrawberryField

from gql.scalars import rfc3339

Collect = Callable[[GraphQLObjectType, FieldDetailsList], CollectedFields]
Shape = tuple[Any, ...]
Project = Callable[[Any], Any]

_instant = lru_cache(maxsize=16_384)(rfc3339)
"""Rows of one page share their instants with those of the next request, and startTime with timestamp."""


class NotProjectable(Exception):
    """The selection asks for more than attributes; the text names the field."""


def shape_of(declared: GraphQLOutputType, details: FieldDetailsList, collect: Collect) -> Shape:
    """What is selected of a value of the type `declared`, as a key: equal shapes have equal projections.

    A shape is ("null", shape) for a nullable value, ("list", shape), ("leaf", type) or
    ("object", type's name, ((response name, attribute, shape), ...)); an attribute of None is __typename.

    Raises:
        NotProjectable: A part of it is no plain attribute.
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
    fields: list[tuple[str, str | None, Shape]] = []
    for response_name, selected in grouped.items():
        name = selected[0].node.name.value
        if name == "__typename":
            fields.append((response_name, None, ("leaf", GraphQLString)))
            continue
        field = inner.fields[name]
        definition = field.extensions.get("strawberry-definition")
        if field.args or not isinstance(definition, StrawberryField) or not definition.is_basic_field:
            raise NotProjectable(f"{inner}.{name}")
        fields.append((response_name, definition.python_name, shape_of(field.type, selected, collect)))
    return ("object", inner.name, tuple(fields))


@lru_cache(maxsize=1024)
def projection(shape: Shape) -> Project:
    """The function that makes a JSON value of a value of that shape. It raises on anything that is not as declared."""
    names: dict[str, Any] = {"_instant": _instant, "_isfinite": isfinite, "_list": _list}
    names |= {"datetime": datetime, "decimal": Decimal}
    code = f"lambda value: {_code(shape, 'value', names, 0)}"
    return eval(code, names)  # type: ignore[no-any-return]  # noqa: S307 -- names and attributes of our own schema


def _code(shape: Shape, value: str, names: dict[str, Any], depth: int) -> str:
    kind, inner, *rest = shape
    held = f"v{depth}"
    if kind == "null":
        return f"(None if ({held} := {value}) is None else {_code(inner, held, names, depth + 1)})"
    if kind == "list":
        return f"[{_code(inner, held, names, depth + 1)} for {held} in _list({value})]"
    if kind == "leaf":
        return _leaf(inner, value, names, held)
    # A value is read once: a name as it is, anything else as the argument of a function.
    row = value if value.isidentifier() else held
    fields = []
    for response_name, attribute, field in rest[0]:
        read = repr(inner) if attribute is None else f"{row}.{attribute}"
        code = read if attribute is None else _code(field, read, names, depth + 1)
        fields.append(f"{response_name!r}: {code}")
    made = f"{{{', '.join(fields)}}}"
    return made if row == value else f"(lambda {row}: {made})({value})"


def _leaf(leaf: Any, value: str, names: dict[str, Any], held: str) -> str:
    """Types that are as they should be go without a call; all others by the type's own coercion."""
    name = f"_{leaf.name}"
    names[name] = _coercion(leaf)
    quick = {"Decimal": ("decimal", "format({0}, 'f')"), "DateTime": ("datetime", "_instant({0})")}
    if leaf is GraphQLString:
        quick["String"] = ("str", "{0}")
    elif leaf is GraphQLFloat:
        return f"({held} if type({held} := {value}) is float and _isfinite({held}) else {name}({held}))"
    elif leaf is GraphQLInt:
        return f"({held} if type({held} := {value}) is int and -2147483648 <= {held} <= 2147483647 else {name}({held}))"
    if leaf.name not in quick:
        return f"{name}({value})"
    python, text = quick[leaf.name]
    return f"({text.format(held)} if type({held} := {value}) is {python} else {name}({held}))"


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _coercion(leaf: Any) -> Project:
    coerce = leaf.coerce_output_value

    def coerced(value: Any) -> Any:
        made = coerce(value)
        if made is None or made is Undefined:
            raise TypeError(f"{leaf} can't be {value!r}")
        return made

    return coerced
