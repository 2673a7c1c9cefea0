"""The scalars of the API: exact on the way out, strict on the way in.

A parser raises GraphQLError with what is wrong; whoever calls it knows the argument and names it (gql.errors).
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NewType, TypeVar

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from repos.domain import InvalidValue, Timeframe, exact, instant
from repos.json_text import check_json

BigInt = NewType("BigInt", int)

_T = TypeVar("_T")
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def _problem_of(parse: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """`parse`, with the domain's complaint as a GraphQLError; the domain's own name for the value is left out."""

    def parse_value(value: Any) -> _T:
        try:
            return parse(value)
        except InvalidValue as error:
            raise GraphQLError(error.problem) from error

    return parse_value


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _decimal(value: object) -> Decimal:
    return exact("", value)


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _datetime(value: object) -> datetime:
    moment = None
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        with suppress(ValueError):  # a 30th of February
            moment = datetime.fromisoformat(value.upper())
    if moment is None:
        raise GraphQLError(f"{_shown(value)} is not an RFC 3339 instant with an offset, such as 2024-01-01T12:00:00Z")
    return instant("", moment)


def rfc3339(value: datetime) -> str:
    """`value` in UTC with milliseconds and Z."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _timeframe(value: object) -> Timeframe:
    if not isinstance(value, str):
        raise GraphQLError(f"{_shown(value)} is not a string such as 5s, 1m, 4h, 1d, 1w or 1M")
    return Timeframe(value)


def _json(value: object) -> object:
    check_json("", value)
    return value


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description=(
            'An exact decimal as a plain-notation string ("0.00000001", never "1E-8"). '
            "Input: string or integer literal, finite, at most 38 digits, 18 after the point; "
            "JSON floats, NaN and Infinity are refused."
        ),
        serialize=_plain,
        parse_value=_problem_of(_decimal),
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "RFC 3339 instant, printed in UTC with milliseconds and Z. Input must carry an offset; years 1970 to 2261."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=rfc3339,
        parse_value=_problem_of(_datetime),
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="64-bit integer, printed as a string.",
        serialize=str,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description=(
            "Any JSON value, kept whole. Input: no NUL characters, integers of at most 64 bits "
            "(write longer ones as strings), at most 32 levels."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        parse_value=_problem_of(_json),
    ),
    Timeframe: strawberry.scalar(
        name="Timeframe",
        description=(
            'Length of a candle: count and unit (s, m, h, d, w, M): "5s", "1m", "4h", "1d"; at most 10 years. '
            "Stored and printed in the largest unit that divides: 60s is 1m, 24h is 1d (7d is not 1w). "
            "Buckets count from 1970-01-01T00:00Z, weeks from Monday 1969-12-29, months from January 1970."
        ),
        serialize=str,
        parse_value=_problem_of(_timeframe),
    ),
}
