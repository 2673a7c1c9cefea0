"""What an event becomes is made by a compiled function, to the byte as graphql-core would make it."""

from datetime import timedelta

import orjson
import pytest
from graphql import execute_subscription_event, parse
from graphql.execution import Executor

from gql.admission import Admitted
from gql.context import Context
from gql.errors import presentable
from gql.execution import paths
from gql.resources import Gate, Resources
from gql.schema import schema
from gql.selection import followed
from repos.events import (
    BotEvent,
    BotEventKind,
    BusHealth,
    CandleEvent,
    CandleEventKind,
    DatabaseHealth,
    FeedHealth,
    Health,
    Position,
    TapePosition,
    TimeRange,
    TradesEvent,
)
from tests.builders import BTC_1M, MINUTE, NOON, a_candle, a_trade

pytestmark = pytest.mark.anyio

CANDLES = """
subscription Follow($symbol: String = "BTC-USDT", $bare: Boolean! = false, $more: Boolean = true) {
  happened: candles(symbol: $symbol, timeframe: "1m") {
    __typename what: kind kind ...Place
    candle @skip(if: $bare) {
      a: open open high low close volume exchange symbol timeframe
      ... @include(if: $more) { tradeCount origin isFinal timestamp startTime endTime type: __typename }
      ...Close
    }
    gap { start end }
  }
}
fragment Place on CandleEvent { cursor candle { volume } }
fragment Close on Candle { close lastPrice: close }
"""
WATCHED = 'subscription { watchCandles(series: [{symbol: "X", timeframe: "1m"}]) { kind cursor candle { close } } }'
TRADES = """
subscription ($ids: Boolean! = true) { trades(symbol: "BTC-USDT") {
  cursor trades { ... @include(if: $ids) { tradeId exchange symbol } timestamp price size side count __typename }
  gap { start end }
} }
"""
POSITION = Position(BTC_1M, 7, NOON, NOON + MINUTE, "e")
CANDLE_EVENTS = [
    CandleEvent(CandleEventKind.SNAPSHOT, Position(BTC_1M, 0, None, None, "e"), a_candle()),
    CandleEvent(CandleEventKind.FORMING, POSITION, a_candle(is_final=False, close="0.000000000000000001")),
    CandleEvent(CandleEventKind.CLOSED, POSITION, a_candle(trade_count=None, volume="1E+3")),
    CandleEvent(CandleEventKind.CORRECTED, POSITION, a_candle(symbol='Ü"-USDT')),
    CandleEvent(CandleEventKind.GAP, POSITION, None, TimeRange(NOON, NOON + MINUTE)),
]
TRADES_EVENTS = [
    TradesEvent("okx", "BTC-USDT", TapePosition(2, "e"), [a_trade(trade_id=1), a_trade(trade_id=2, price="0.10")]),
    TradesEvent("okx", "BTC-USDT", TapePosition(3, "e"), [], TimeRange(NOON, NOON + MINUTE)),
]
HEALTH = Health(
    True,
    NOON,
    DatabaseHealth(True, 1.5, 10, 0),
    [FeedHealth("okx", "trades-all", "BTC-USDT", True, NOON, 1, 0, None)],
    BusHealth(True, 3),
)


@pytest.fixture
def context(db, feed):
    return Context(Resources(db, feed, timedelta(seconds=60), Gate(schema)))


@pytest.fixture(autouse=True)
def totals():
    """How often events were made fast, and how often by graphql-core for which reason."""
    paths.totals.clear()
    return paths.totals


def asked(context, query, variables):
    """What `selected` finds."""
    documents = context.resources.gate.documents
    document = documents.known(query) or documents.read(query)
    return followed(Admitted(document, document.choose(None), variables or {}, {}), context)


def select(context, query, variables=None):
    """The selection of a subscription, and the info of its resolvers."""
    selection, _, info = asked(context, query, variables)
    return selection, info


async def plainly(context, query, variables, event):
    """The payload as graphql-core makes it."""
    executor = Executor.build(schema._schema, parse(query), None, context, variables)
    result = execute_subscription_event(executor.build_per_event_executor(event))
    if not hasattr(result, "data"):
        result = await result
    errors = [error.formatted for error in presentable(result.errors or [])]
    return orjson.dumps({"data": result.data} | ({"errors": errors} if errors else {}))


@pytest.mark.parametrize("variables", [{}, {"bare": True}, {"more": False}, {"bare": True, "more": False}])
@pytest.mark.parametrize("event", CANDLE_EVENTS, ids=lambda event: event.kind.name)
async def test_an_event_of_candles_is_printed_as_by_graphql_core(context, totals, variables, event):
    selection, _ = select(context, CANDLES, variables)

    assert selection.payload(event) == await plainly(context, CANDLES, variables, event)
    assert totals == {"fast": 1}


@pytest.mark.parametrize("variables", [{}, {"ids": False}])
@pytest.mark.parametrize("event", TRADES_EVENTS, ids=["trades", "gap"])
async def test_an_event_of_trades_is_printed_as_by_graphql_core(context, totals, variables, event):
    selection, _ = select(context, TRADES, variables)

    assert selection.payload(event) == await plainly(context, TRADES, variables, event)
    assert totals == {"fast": 1}


async def test_events_that_load_something_are_printed_as_by_graphql_core(context, totals, db):
    bots = (
        "subscription { bots { kind bot { id name config isStale virtualBalance latestCandle { close } timeframe } } }"
    )
    health = """subscription { health { healthy checkedAt database { connected latencyMs poolSize }
                feeds { channel lastMessageAt lagMs } bus { subscribers } } }"""
    await db.market_data.upsert_candle(a_candle(close=7))
    bot = await db.bots.add(
        {"name": "b", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m", "config": {"x": [1]}}
    )
    for query, event in [
        (bots, BotEvent(BotEventKind.CREATED, bot)),
        (health, HEALTH),
        (WATCHED, CANDLE_EVENTS[0]),
    ]:
        selection, info = select(context, query)

        payload = await selection.loaded(event, info)

        assert payload == await plainly(context, query, None, event)
    assert totals == {"fast": 3}


async def test_what_the_function_does_not_expect_graphql_core_tells(context, totals):
    event = TradesEvent("okx", "BTC-USDT", TapePosition(2, "e"), [a_trade(trade_id=1, count=2**31)])
    selection, info = select(context, TRADES)

    payloads = [selection.payload(event), await selection.loaded(event, info)]
    answers = [orjson.loads(payload) for payload in payloads]

    assert [answer["data"] for answer in answers] == [None, None]
    assert answers[0]["errors"][0]["path"] == ["trades", "trades", 0, "count"]
    assert totals == {"Subscription.trades: GraphQLError": 2}


async def test_equal_selections_of_all_series_share_one_function(context):
    eth = {"symbol": "ETH-USDT"}
    first, second, other = (select(context, CANDLES, each)[0] for each in ({}, eth, eth | {"bare": True}))

    assert first.key == second.key
    assert first.key != other.key


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (CANDLES, {"more": None}),
        ('subscription { candles(symbol: "", timeframe: "1m") { kind } }', {}),
    ],
)
async def test_mistakes_are_left_to_graphql_core(context, totals, query, variables):
    assert asked(context, query, variables) is None
    assert not totals
