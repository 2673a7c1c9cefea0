"""A selection over values as one generated function, in the place of graphql-core's call for each field of each row.

What the function does not expect it raises on, and the caller takes the way of graphql-core, which knows what to say;
so the answers are the same.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from inspect import iscoroutine
from math import isfinite
from typing import Any

from graphql import GraphQLEnumType, GraphQLFloat, GraphQLID, GraphQLInt, GraphQLString, Undefined

from gql.execution.shape import Resolved, Shape
from gql.execution.stored import PRINTABLE, PRINTED, printer
from gql.scalars import rfc3339
from repos.candle_reader import Floats
from repos.stored import StoredCandle

Later = list[tuple[dict[str, Any], str, Any, "Project"]]
"""What is still waited for: the object, the response name, the awaitable, and what to make of its value."""
Project = Callable[[Any, Any, Later], Any]
"""Makes a JSON value of a value, with the info that resolvers take."""

_instant = lru_cache(maxsize=16_384)(rfc3339)
"""Rows of one page share their instants with those of the next request, and startTime with timestamp."""


async def projected(project: Project, value: Any, info: Any) -> Any:
    """What `project` makes of `value`, whole. What resolvers wait for is waited for together.

    Raises:
        Exception: Something is not as declared, or a resolver failed.
    """
    later: Later = []
    try:
        made = project(value, info, later)
        while later:
            waiting = later.copy()
            # Rows that wait for the same, as loaders let them, share what is made of it.
            awaited = dict.fromkeys(awaitable for _, _, awaitable, _ in waiting)
            found = dict(zip(awaited, await asyncio.gather(*awaited), strict=True))
            later.clear()
            shared: dict[tuple[Any, Project], Any] = {}
            for parent, name, awaitable, of_value in waiting:
                key = (awaitable, of_value)
                if key not in shared:
                    shared[key] = of_value(found[awaitable], info, later)
                parent[name] = shared[key]
    except BaseException:
        for _, _, awaitable, _ in later:
            if iscoroutine(awaitable):
                awaitable.close()
        raise
    return made


@lru_cache(maxsize=1024)
def projection(shape: Shape) -> Project:
    """The function for values of that shape. It raises on anything that is not as declared."""
    names: dict[str, Any] = {"_instant": _instant, "_isfinite": isfinite, "_list": _list}
    names |= {"datetime": datetime, "decimal": Decimal, "floats": Floats, "row": StoredCandle, "rows": PRINTABLE}
    code = f"lambda value, info, later: {_code(shape, 'value', names, 0)}"
    return eval(code, names)  # type: ignore[no-any-return]  # noqa: S307 -- names of our own schema; clients choose aliases, which are quoted by repr()


def _code(shape: Shape, value: str, names: dict[str, Any], depth: int) -> str:
    kind, inner, *rest = shape
    held = f"v{depth}"
    if kind == "null":
        return f"(None if ({held} := {value}) is None else {_code(inner, held, names, depth + 1)})"
    if kind == "list":
        return _list_code(shape, value, names, depth)
    if kind == "leaf":
        return _leaf(inner, value, names, held)
    # A value is read once: a name as it is, anything else as the argument of a function.
    row = value if value.isidentifier() else held
    fields = []
    waits: list[tuple[str, Resolved, Project]] = []
    for response_name, source, field in rest[0]:
        # Clients choose response names (aliases); a GraphQL name is an identifier.
        if not response_name.isidentifier():
            raise ValueError(f"{response_name!r} is no name")
        if source is None:
            code = repr(inner)
        elif isinstance(source, str):
            code = _code(field, f"{row}.{source}", names, depth + 1)
        elif source.may_wait:
            waits.append((response_name, source, projection(field)))
            code = "None"
        else:
            code = _code(field, f"{_named(source.function, names)}({row})", names, depth + 1)
        fields.append(f"{response_name!r}: {code}")
    made = f"{{{', '.join(fields)}}}"
    if waits:
        made = f"{_named(_resolving(waits), names)}({made}, {row}, info, later)"
    if inner in PRINTED:
        made = f"({_named(printer(shape), names)}({row}) if type({row}) is row else {made})"
    return made if row == value else f"(lambda {row}: {made})({value})"


def _list_code(shape: Shape, value: str, names: dict[str, Any], depth: int) -> str:
    kind, *of = shape[1]
    held = f"v{depth}"
    each = _code(shape[1], held, names, depth + 1)
    made = f"[{each} for {held} in _list({value})]"
    if kind == "object" and of[0] in PRINTED:
        made = f"[{each} for {held} in _list({held})]"
        return f"({_named(printer(shape[1]), names)}({held}) if isinstance({held} := {value}, rows) else {made})"
    if (kind, *of) == ("leaf", GraphQLFloat):
        return f"({held} if type({held} := {value}) is floats else [{each} for {held} in _list({held})])"
    return made


def _named(function: Any, names: dict[str, Any]) -> str:
    name = f"f{len(names)}"
    names[name] = function
    return name


def _resolving(fields: list[tuple[str, Resolved, Project]]) -> Callable[..., dict[str, Any]]:
    """Fills in what resolvers make, now or later; the places are there, so that the order of fields is kept."""

    def resolve(made: dict[str, Any], parent: Any, info: Any, later: Later) -> dict[str, Any]:
        for name, (function, takes_info, _), project in fields:
            value = function(parent, info) if takes_info else function(parent)
            if hasattr(type(value), "__await__"):  # faster than inspect.isawaitable
                later.append((made, name, value, project))
            else:
                made[name] = project(value, info, later)
        return made

    return resolve


def _leaf(leaf: Any, value: str, names: dict[str, Any], held: str) -> str:
    """Types that are as they should be go without a call; all others by the type's own coercion."""
    name = f"_{leaf.name}"
    names[name] = _coercion(leaf)
    # The exponent of a Decimal's own text is rare, and the plain notation twice as dear.
    plain = "(text if 'E' not in (text := str({0})) else format({0}, 'f'))"
    quick = {"Decimal": ("decimal", plain), "DateTime": ("datetime", "_instant({0})")}
    if leaf is GraphQLString:
        quick["String"] = ("str", "{0}")
    elif leaf is GraphQLID:
        quick["ID"] = ("int", "str({0})")
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


def _coercion(leaf: Any) -> Callable[[Any], Any]:
    coerce = leaf.coerce_output_value

    def coerced(value: Any) -> Any:
        made = coerce(value)
        if made is None or made is Undefined:
            raise TypeError(f"{leaf} can't be {value!r}")
        return made

    return lru_cache(maxsize=64)(coerced) if isinstance(leaf, GraphQLEnumType) else coerced
