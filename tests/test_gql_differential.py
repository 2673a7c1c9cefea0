"""Compiled operations answer to the byte what graphql-core would: on queries drawn from the schema."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from graphql import IntValueNode, StringValueNode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries

from gql.context import Context
from gql.errors import Refused
from gql.execution import paths
from gql.execution.documents import Documents
from gql.execution.operation import NotCompiled
from gql.limits import Limits
from gql.resources import Gate, Resources
from gql.results import shown
from gql.schema import print_schema, schema
from repos.domain import Origin
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import MINUTE, NOON, a_candle, a_record

pytestmark = pytest.mark.anyio


def text(*values: str) -> st.SearchStrategy[StringValueNode]:
    return st.sampled_from(values).map(lambda value: StringValueNode(value=value))


INSTANTS = text("2024-01-01T12:00:00Z", "2024-01-01T12:02:00+00:00", "2025-01-01T00:00:00Z", "yesterday")
DRAWN = {
    "Timeframe": text("1m", "60s", "5s", "never"),
    "DateTime": INSTANTS,
    "Decimal": text("1", "1E-8") | st.just(IntValueNode(value="7")),
    "BigInt": text("1"),
    "JSON": text("{}"),
}
DOCUMENTS = Documents(schema._schema, Limits())
# What moves between two answers is not compared.
MOVING = ("health", "stats")


def drawn() -> st.SearchStrategy[str]:
    fields = [name for name in schema._schema.query_type.fields if name not in MOVING]
    return queries(print_schema(), fields=fields, custom_scalars=DRAWN, allow_x00=False)


@pytest.fixture
async def context(db: DatabaseOperations, feed: Feed) -> Context:
    candles = [
        a_candle(
            start_time=NOON + n * MINUTE,
            volume=f"0.0000000{n}",
            trade_count=None if n % 2 else n,
            origin=list(Origin)[n % 3],
        )
        for n in range(5)
    ]
    await db.market_data.upsert_candles(candles)
    await db.tape.insert([a_record(trade_id=n, count=n) for n in (1, 2)])
    await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "trade", {"no": "trade"}, NOON)
    for name in ("One", "Two"):
        bot = {
            "name": name,
            "strategy_name": "MACD",
            "symbol": "BTC-USDT",
            "timeframe": "1m",
            "virtual_balance": "1.50",
        }
        await db.bots.add(bot)
    return Context(Resources(db, feed, timedelta(seconds=60), Gate(schema)))


async def answers(query: str, context: Context, variables: dict | None = None) -> tuple[bytes | None, bytes]:
    """The answer of the compiled operation, None if there is none, and that of graphql-core, as they are sent."""
    compiled = None
    try:
        operation = DOCUMENTS.read(query).choose(None).compiled()
        compiled = sent(await operation.answer(context, variables or {}))
    except Refused:
        pass
    except NotCompiled as reason:
        paths.totals[str(reason)] += 1
    return compiled, sent(shown(await schema.execute(query, variable_values=variables, context_value=context)))


def sent(result: Any) -> bytes:
    errors: list[dict] = [dict(error.formatted) for error in result.errors or ()]
    for error in errors:
        error.get("extensions", {}).pop("requestId", None)
    return orjson.dumps({"data": result.data, "errors": errors})


async def test_queries_drawn_from_the_schema_are_answered_alike(context: Context) -> None:
    found: list[str] = []

    @settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(drawn())
    def collect(query: str) -> None:
        found.append(query)

    collect()
    paths.totals.clear()
    compiled = 0
    for query in dict.fromkeys(found):
        ours, plain = await answers(query, context)
        assert ours in (None, plain), query
        compiled += ours is not None

    assert compiled > 15
    assert set(paths.totals) <= {"Query.__typename"}


SCALARS_OF = {
    "Candle": ["timestamp", "startTime", "endTime", "open", "high", "low", "close", "volume", "tradeCount", "origin",
               "isFinal", "exchange", "symbol", "timeframe", "__typename"],
    "RawTrade": ["id", "exchange", "symbol", "timestamp", "dataType", "rawData", "__typename",
                 "trade { tradeId price size side count __typename }"],
    "Bot": ["id", "name", "strategyName", "symbol", "timeframe", "status", "virtualBalance", "config", "lastHeartbeat",
            "isStale", "createdAt", "version", "latestCandle { close origin }"],
}  # fmt: skip
ROOTS = {
    "Candle": 'candles(symbol: "BTC-USDT", timeframe: "1m", last: $last)',
    "RawTrade": 'rawTrades(symbol: "BTC-USDT", last: $last)',
    "Bot": "bots(last: $last)",
}


@st.composite
def selections(draw: st.DrawFn, kind: str) -> str:
    """A selection of the fields of a type: aliased, doubled, behind directives and inside fragments."""
    parts = []
    for field in draw(st.lists(st.sampled_from(SCALARS_OF[kind]), min_size=1, max_size=6)):
        name, brace, rest = field.partition(" ")
        alias = draw(st.sampled_from(["", f"x{len(parts)}: "]))
        directive = draw(st.sampled_from(["", " @skip(if: $yes)", " @include(if: $no)", " @include(if: $yes)"]))
        part = f"{alias}{name}{directive}{brace}{rest}"
        wrap = draw(st.sampled_from(["{}", f"... on {kind} {{{{ {{}} }}}}", "... @include(if: $yes) {{ {} }}"]))
        parts.append(wrap.format(part))
    return " ".join([*parts, draw(st.sampled_from(["", f"...Some{kind}"]))])


@st.composite
def pages(draw: st.DrawFn) -> tuple[str, dict]:
    fields = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(sorted(ROOTS)), min_size=1, max_size=3))):
        rows = [
            f"nodes {{ {draw(selections(kind))} }}",
            f"edges {{ cursor node {{ {draw(selections(kind))} }} __typename }}",
        ]
        chosen = " ".join(draw(st.lists(st.sampled_from(rows), min_size=1, max_size=2, unique=True)))
        fields.append(f"f{number}: {ROOTS[kind]} {{ {chosen} pageInfo {{ hasNextPage endCursor }} }}")
    fragments = [
        f"fragment Some{kind} on {kind} {{ {SCALARS_OF[kind][0]} s: {SCALARS_OF[kind][1]} }}"
        for kind in ROOTS
        if any(f"...Some{kind}" in field for field in fields)
    ]
    uses = {name: f"${name}" in " ".join(fields) for name in ("yes", "no")}
    flags = "".join(f", ${name}: Boolean!" for name, used in uses.items() if used)
    query = f"query($last: Int{flags}) {{ {' '.join(fields)} }} {' '.join(fragments)}"
    variables = {"last": draw(st.sampled_from([0, 1, 3, 500, -1]))} | {
        name: name == "yes" for name, used in uses.items() if used
    }
    return query, variables


async def test_pages_of_rows_are_projected_and_answered_alike(context: Context) -> None:
    found: list[tuple[str, dict]] = []

    @settings(max_examples=90, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(pages())
    def collect(page: tuple[str, dict]) -> None:
        found.append(page)

    collect()
    for query, variables in found:
        ours, plain = await answers(query, context, variables)
        assert ours == plain, (query, json.dumps(variables))


async def test_a_row_that_is_not_as_declared_is_told_as_ever(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = Feed(context.db, hot_candles=0)
    context = Context(replace(context.resources, feed=cold))
    found = await context.db.market_data.page(a_candle().series, last=1)
    (candle,) = found.rows
    for value in (None, float("inf"), "text"):
        object.__setattr__(candle, "close", value)

        async def pages(*_: object, candle=candle):
            return [replace(found, rows=[candle])]

        with monkeypatch.context() as patched:
            patched.setattr(context.db.market_data.stored, "pages", pages)
            query = '{ candles(symbol: "BTC-USDT", timeframe: "1m") { nodes { close open } } }'
            ours, plain = await answers(query, context)

        assert b"close" in plain
        assert ours == (plain if isinstance(value, float) else None)
