"""Scalars: exact on the way out, strict on the way in, as literals and as variables."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
import strawberry
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionResult

from gql.errors import Refused
from gql.execution.documents import Documents
from gql.limits import Limits
from gql.results import shown
from gql.scalars import SCALARS, BigInt
from repos.domain import Timeframe


@strawberry.type
class Echo:
    @strawberry.field
    def decimal(self, value: Decimal) -> Decimal:
        return value

    @strawberry.field
    def instant(self, value: datetime) -> datetime:
        return value

    @strawberry.field
    def timeframe(self, value: Timeframe) -> Timeframe:
        assert isinstance(value, Timeframe)
        return value

    @strawberry.field
    def json(self, value: JSON) -> JSON:
        return value

    @strawberry.field
    def big(self) -> BigInt:
        return BigInt(2**62)

    @strawberry.field
    def noon_in_tokyo(self) -> datetime:
        return datetime(2024, 1, 1, 12, 0, 0, 999, tzinfo=timezone(timedelta(hours=9)))


ECHO = strawberry.Schema(query=Echo, config=StrawberryConfig(scalar_map=SCALARS))
DOCUMENTS = Documents(ECHO._schema, Limits(tokens=10_000))
TYPES = {"decimal": "Decimal", "instant": "DateTime", "timeframe": "Timeframe", "json": "JSON"}


def asked(field, literal):
    return ran(f"{{ {field}(value: {literal}) }}")


def sent(field, value):
    return ran(f"query ($x: {TYPES[field]}!) {{ {field}(value: $x) }}", {"x": value})


def ran(query, variables=None):
    try:
        DOCUMENTS.read(query)
    except Refused as refused:
        return ExecutionResult(None, refused.errors)
    return shown(ECHO.execute_sync(query, variables))


@pytest.mark.parametrize(
    ("field", "literal", "printed"),
    [
        ("decimal", '"0.00000001"', "0.00000001"),
        ("decimal", '"1e-8"', "0.00000001"),
        ("decimal", '"1E+5"', "100000"),
        ("decimal", "42", "42"),
        ("decimal", "-3", "-3"),
        ("decimal", '"12345678901234567890.123456789012345678"', "12345678901234567890.123456789012345678"),
        ("decimal", "12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("instant", '"2024-01-01T12:00:00Z"', "2024-01-01T12:00:00.000Z"),
        ("instant", '"2024-01-01t12:00:00.123456789z"', "2024-01-01T12:00:00.123Z"),
        ("instant", '"2024-01-01T12:00:00+09:00"', "2024-01-01T03:00:00.000Z"),
        ("instant", '"2261-12-31T23:59:59.999999Z"', "2261-12-31T23:59:59.999Z"),
        ("timeframe", '"60s"', "1m"),
        ("timeframe", '"7d"', "7d"),
        ("json", '{a: [1, 2.5, null, true, "x"], b: {}}', {"a": [1, 2.5, None, True, "x"], "b": {}}),
        ("json", "7", 7),
    ],
)
def test_a_good_literal_comes_back_in_its_printed_form(field, literal, printed):
    result = asked(field, literal)

    assert result.errors is None
    assert result.data == {field: printed}


@pytest.mark.parametrize(
    ("field", "literal"),
    [
        ("decimal", "1.5"),
        ("decimal", '"NaN"'),
        ("decimal", '"Infinity"'),
        ("decimal", '"1,5"'),
        ("decimal", '" 1"'),
        ("decimal", '"٣"'),
        ("decimal", '"0.0000000000000000001"'),
        ("decimal", '"123456789012345678901234567890123456789"'),
        ("decimal", "true"),
        ("decimal", "NaN"),
        ("decimal", "9" * 5_000),
        ("instant", '"2024-01-01T12:00:00"'),
        ("instant", '"2024-01-01"'),
        ("instant", '"2024-W01-1T00:00:00Z"'),
        ("instant", '"20240101T000000Z"'),
        ("instant", '"2024-02-30T00:00:00Z"'),
        ("instant", '"1969-12-31T23:59:59Z"'),
        ("instant", '"2262-01-01T00:00:00Z"'),
        ("instant", '"2024-01-01T12:00:00+24:00"'),
        ("instant", '"0001-01-01T00:00:00+09:00"'),
        ("instant", "1704110400"),
        ("timeframe", '"5"'),
        ("timeframe", '"0s"'),
        ("timeframe", '"5s "'),
        ("timeframe", '"11w7d"'),
        ("timeframe", '"4000d"'),
        ("timeframe", "m1"),
        ("timeframe", "5"),
        ("json", r'{a: "\u0000"}'),
        ("json", r'"\u0000"'),
        ("json", "12345678901234567890"),
        ("json", "1e999"),
    ],
)
def test_a_bad_literal_is_the_users_mistake_and_named(field, literal):
    [error] = asked(field, literal).errors

    assert error.extensions == {"code": "BAD_USER_INPUT"}
    assert error.message.startswith("value")
    assert error.locations


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("decimal", 1.5),
        ("decimal", float("nan")),
        ("decimal", None),
        ("decimal", True),
        ("decimal", ["1"]),
        ("instant", "garbage"),
        ("instant", "2024-01-01T12:00:00Z\n"),
        ("instant", 0),
        ("timeframe", "5x"),
        ("timeframe", 5),
        ("json", {"a": [{"b": "nul \0"}]}),
        ("json", {"nul \0": 1}),
        ("json", "\ud800"),
        ("json", 2**63),
        ("json", float("inf")),
    ],
)
def test_a_bad_variable_is_the_users_mistake_and_named(field, value):
    [error] = sent(field, value).errors

    assert error.extensions == {"code": "BAD_USER_INPUT"}
    assert error.message.startswith("Variable '$x'")


def test_json_may_be_nested_32_levels_deep():
    def nested(levels):
        value = 1
        for _ in range(levels):
            value = [value]
        return value

    assert sent("json", nested(31)).errors is None
    [error] = sent("json", nested(32)).errors
    assert "deeper than 32 levels" in error.message


def test_integers_of_64_bits_and_foreign_instants_are_printed_exactly():
    result = ECHO.execute_sync("{ big noonInTokyo }")

    assert result.data == {"big": "4611686018427387904", "noonInTokyo": "2024-01-01T03:00:00.000Z"}
