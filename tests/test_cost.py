"""What operations cost: known before they run, from what they ask for."""

import pytest
from graphql import (
    OperationType,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    parse,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import collect_fields
from graphql.execution.values import get_argument_values
from hypothesis import HealthCheck, given, settings
from hypothesis_graphql import mutations, queries

from gql.cost import ROOT, Costs
from gql.execution.documents import Documents
from gql.limits import Limits
from gql.schema import print_schema, schema
from tests.test_gql_differential import pages
from tests.test_gql_differential import text as literal

DOCUMENTS = Documents(schema._schema, Limits())
SERIES = 'symbol: "BTC-USDT", timeframe: "1m"'
EIGHT = "timestamp open high low close volume tradeCount origin"


DRAWN = {
    "Timeframe": literal("1m"),
    "DateTime": literal("2024-01-01T12:00:00Z"),
    "Decimal": literal("1"),
    "BigInt": literal("1"),
    "JSON": literal("{}"),
}


def cost(text, **variables):
    return DOCUMENTS.read(text).choose(None).costs.of(variables)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        pytest.param(f"{{ latestCandle({SERIES}) {{ {EIGHT} }} }}", ROOT + 10 + 8, id="one row"),
        pytest.param(f"{{ candles({SERIES}, first: 10000) {{ nodes {{ {EIGHT} }} }} }}", ROOT + 10_000 * 9, id="page"),
        pytest.param(f"{{ candles({SERIES}) {{ nodes {{ open }} }} }}", ROOT + 500 * 2, id="page as it is"),
        pytest.param(f"{{ candles({SERIES}, first: 10000) {{ pageInfo {{ hasNextPage }} liveCursor }} }}",
                     ROOT + 10_000 + 2, id="a page that is read all the same"),
        pytest.param(f"{{ candles({SERIES}, last: 3) {{ edges {{ cursor node {{ open }} }} totalCount }} }}",
                     ROOT + 3 * 3 + 1_001, id="edges and a count"),
        pytest.param(f"{{ candleSeries({SERIES}, last: 100) {{ time close truncated }} }}", ROOT + 100 * 3 + 1,
                     id="columns"),
        pytest.param("{ bots { nodes { name latestCandle { close } } } }", ROOT + 100 * (1 + 1 + 10 + 1),
                     id="what is loaded for each row"),
        pytest.param(f"{{ a: latestCandle({SERIES}) {{ open }} ...F ...F }}"
                     f" fragment F on Query {{ a: latestCandle({SERIES}) {{ open close }} }}", ROOT + 10 + 2,
                     id="what is merged counts once"),
        pytest.param(f"{{ latestCandle({SERIES}) {{ open close @skip(if: true) high @include(if: false) }} }}",
                     ROOT + 10 + 1, id="what is left out costs nothing"),
        pytest.param("{ stats { healthy } }", ROOT + 1_001, id="stats"),
        pytest.param("mutation { deleteBot(id: 1) { deleted } }", ROOT + 1, id="mutation"),
        pytest.param("mutation { upsertCandles(input: []) { storedCount } }", ROOT + 1, id="nothing written"),
        pytest.param(f"subscription {{ candles({SERIES}, snapshot: 50) {{ kind candle {{ open }} }} }}", ROOT + 50 * 3,
                     id="snapshot"),
        pytest.param(f'subscription {{ candles({SERIES}, after: "x") {{ kind }} }}', ROOT + 100 * 2, id="resume"),
        pytest.param("subscription { bots { kind } }", ROOT + 1, id="events"),
    ],
)  # fmt: skip
def test_an_operation_costs_its_rows_times_its_fields(text, points):
    assert cost(text) == points


def test_numbers_come_from_variables_and_their_defaults():
    fields = "nodes { open close @include(if: $more) }"
    text = f"query ($n: Int = 7, $more: Boolean = false) {{ candles({SERIES}, first: $n) {{ {fields} }} }}"

    assert cost(text) == ROOT + 7 * 2
    assert cost(text, n=3) == ROOT + 3 * 2
    assert cost(text, n=3, more=True) == ROOT + 3 * 3


def test_lists_count_by_their_length():
    written = "mutation ($c: [CandleInput!]!) { upsertCandles(input: $c) { storedCount } }"
    watched = "subscription ($s: [SeriesInput!]!) { watchCandles(series: $s) { kind } }"

    assert cost(written, c=[{}] * 1_000) == ROOT + 10 * 1_000 + 1
    assert cost(watched, s=[{}] * 200) == ROOT + 200 * 2
    assert cost(f"subscription {{ watchCandles(series: [{{{SERIES}}}, {{{SERIES}}}]) {{ kind }} }}") == ROOT + 2 * 2


@pytest.mark.parametrize("wrong", [-5, None, "x", 1.5, True, 2**80, [1], {}, float("inf"), float("nan")])
def test_a_wrong_number_costs_something_and_is_told_later(wrong):
    text = f"query ($n: Int) {{ candles({SERIES}, first: $n) {{ nodes {{ open }} }} }}"

    assert ROOT <= cost(text, n=wrong) <= ROOT + 10_000 * 2


def test_to_ask_for_the_schema_makes_everything_dearer_and_is_bounded():
    page = f"candles({SERIES}, first: 1000) {{ nodes {{ open }} }}"
    wide = " ".join(f"f{n}: fields {{ type {{ fields {{ name description }} }} }}" for n in range(40))

    assert cost(f'{{ {page} __type(name: "Bot") {{ name }} }}') > 15 * cost(f"{{ {page} }}")
    assert cost(f"{{ {page} __typename }}") > 15 * cost(f"{{ {page} }}")
    assert cost(get_introspection_query()) < Limits().cost
    assert cost(f"{{ __schema {{ types {{ {wide} }} }} }}") > Limits().cost


def walked(document, variables):
    """The cost, as it is when an executor's own fields and values are counted."""
    executor = Executor.build(schema._schema, document, None, None, variables)
    if not isinstance(executor, Executor):
        return None
    kind = executor.operation.operation
    root = schema._schema.get_root_type(kind)
    found, *_ = collect_fields(schema._schema, executor.fragments, executor.variable_values, root, executor.operation)
    total = 0
    for details in found.values():
        node = details[0].node
        name = node.name.value
        if name.startswith("__"):
            return None
        once, row = weighed(executor, root, details)
        rows, default = 1, {"candles": 500, "rawTrades": 500, "candleSeries": 500, "bots": 100, "instruments": 100}
        listed = kind is OperationType.QUERY and name in {*default, "markets", "health"}
        if listed:
            given = get_argument_values(root.fields[name], node, executor.variable_values)
            numbers = [given[key] for key in ("first", "last") if given.get(key) is not None]
            rows = min(numbers[0], 10_000) if numbers else default.get(name, {"markets": 500, "health": 100}.get(name))
        elif name == "upsertCandles":
            rows = len(get_argument_values(root.fields[name], node, executor.variable_values)["input"])
            row += 10
        total += ROOT + once + (row + listed) * max(rows, 0)
    return total


def weighed(executor, parent, details):
    name = details[0].node.name.value
    if name == "__typename":
        return 1, 0
    field = parent.fields[name]
    kind = get_named_type(field.type)
    dear = {"deleteCandles": 10_000, "totalCount": 1_000, "stats": 1_000, "latestCandle": 10, "tickSize": 10}
    once, row = dear.get(name, 0), 0
    if is_leaf_type(kind):
        once += 1
    else:
        for inner in executor.collect_subfields(kind, details)[0].values():
            more = weighed(executor, kind, inner)
            once, row = once + more[0], row + more[1]
    return (0, once + row) if is_list_type(get_nullable_type(field.type)) else (once, row)


def compared(text, variables):
    document = parse(text)
    expected = walked(document, variables)
    points = Costs(schema._schema, document, document.definitions[0]).of(variables)
    assert points >= 0
    assert expected in (None, points), text
    return expected is not None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(queries(print_schema(), custom_scalars=DRAWN) | mutations(print_schema(), custom_scalars=DRAWN))
def test_the_cost_of_operations_drawn_from_the_schema_is_that_of_what_an_executor_would_do(text):
    compared(text, {})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(pages())
def test_the_cost_of_pages_is_that_of_what_an_executor_would_do(page):
    assert compared(*page)
