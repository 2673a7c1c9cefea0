"""Batches as parameters: what goes in comes out, whatever it holds and in what order it stands."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from repos.arrays import arrays, filled
from repos.domain import DIGITS, END_OF_TIME, EPOCH, PLACES

pytestmark = pytest.mark.anyio

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        pytest.param(
            sa.Text(),
            ["", " ", "NULL", "null", "a,b", '"', "\\", '\\"', "{}", "{a,{b}}", "'", "ü€😀", "$1", "a\tb\nc", "%s"],
            id="texts",
        ),
        pytest.param(
            sa.Numeric(),
            [
                Decimal(0),
                Decimal(f"1E-{PLACES}"),
                Decimal("0.10"),
                Decimal("9" * DIGITS),
                Decimal("1E+20"),
                Decimal(-5),
            ],
            id="numbers",
        ),
        pytest.param(sa.BigInteger(), [2**63 - 1, None, -(2**63), 0], id="integers, and one that is missing"),
        pytest.param(sa.Integer(), [None, 5], id="the first is missing"),
        pytest.param(
            sa.DateTime(timezone=True),
            [
                EPOCH,
                EPOCH + MICROSECOND,
                datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
                datetime(2025, 6, 1, 12, 0, 0, 123_457, UTC),
                datetime(2261, 7, 2, 3, 4, 5, 678_901, UTC),
                END_OF_TIME - MICROSECOND,
            ],
            id="instants to the microsecond",
        ),
    ],
)
async def test_a_column_comes_out_as_it_went_in(db, kind, values):
    query = sa.select(arrays({"value": kind}))

    async with db.engine.connect() as connection:
        rows = (await connection.execute(query, filled(["value"], [[value] for value in values]))).scalars().all()

    assert rows == values


async def test_columns_stay_side_by_side(db):
    texts = ['{"a": "x,y"}', "[1, 2]", '"\\\\\\" "', "null", "7"]
    query = sa.select(arrays({"number": sa.Integer(), "json": JSONB()}))

    async with db.engine.connect() as connection:
        rows = (await connection.execute(query, filled(["number", "json"], enumerate(texts), json=["json"]))).all()

    assert [tuple(row) for row in rows] == [(number, orjson.loads(text)) for number, text in enumerate(texts)]
