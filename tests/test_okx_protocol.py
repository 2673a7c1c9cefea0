"""Frames are pieces of OKX's documented shapes with invented numbers."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from collector.okx.protocol import (
    ARGS_PER_REQUEST,
    Arg,
    Ignored,
    Malformed,
    Notice,
    Points,
    Pong,
    Refused,
    Subscribed,
    Trades,
    Unsubscribed,
    parse_frame,
    request,
)
from repos.domain import DataType, MarketDataPoint, Side, Trade, TradeRecord

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 250000, UTC)
MS = "1772366400250"
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def a_trade(**changes: str) -> dict[str, str]:
    return {"instId": "BTC-USDT", "tradeId": "1000", "px": "64000.1", "sz": "0.5", "side": "buy", "ts": MS} | changes


def a_push(channel: str, *data: Any, symbol: str = "BTC-USDT", **envelope: str) -> str:
    return json.dumps({"arg": {"channel": channel, "instId": symbol}, **envelope, "data": data})


def test_trades_keep_the_exchanges_own_text():
    text = '{"instId": "BTC-USDT","px":"64000.10","tradeId":"1000","sz":"0.50","side":"sell","ts":"1772366400250" }'
    frame = '{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[ ' + text + " ]}"

    events = parse_frame(frame)

    trade = Trade("okx", "BTC-USDT", 1000, MOMENT, Decimal("64000.1"), Decimal("0.5"), Side.SELL)
    assert events == [Trades(Arg("trades-all", "BTC-USDT"), [TradeRecord(trade, text)])]


def test_several_trades_stay_in_the_frames_order():
    (event,) = parse_frame(a_push("trades", a_trade(tradeId="12", count="2"), a_trade(tradeId="10")))

    assert isinstance(event, Trades)
    assert [(record.trade.first_id, record.trade.trade_id) for record in event.records] == [(11, 12), (10, 10)]


def test_a_bad_trade_leaves_the_good_ones_standing():
    bad = a_trade(px="much")

    events = parse_frame(a_push("trades", a_trade(), bad, "nothing", a_trade(tradeId="1001")))

    assert isinstance(events[0], Trades)
    assert [record.trade.trade_id for record in events[0].records] == [1000, 1001]
    assert events[1:] == [
        Malformed("px: 'much' is not a decimal number such as 0.00000001", json.dumps(bad)),
        Malformed("Expected `object`, got `str`", '"nothing"'),
    ]


def test_a_trade_of_another_symbol_than_its_channels_is_not_taken():
    (event,) = parse_frame(a_push("trades", a_trade(instId="ETH-USDT")))

    assert isinstance(event, Malformed)
    assert event.reason == "instId: 'ETH-USDT' is not BTC-USDT"


def test_text_that_the_database_could_not_hold_is_not_taken():
    events = parse_frame(a_push("trades", a_trade(source="\0"), a_trade()))

    assert [type(event) for event in events] == [Trades, Malformed]


def test_a_ticker_is_kept_whole_after_its_channel():
    ticker = {"instId": "BTC-USDT", "last": "64000.1", "lastSz": "0", "ts": MS}

    events = parse_frame(a_push("tickers", ticker))

    data = {"channel": "tickers"} | ticker
    point = MarketDataPoint("okx", "BTC-USDT", MOMENT, DataType.TICKER, data)
    assert events == [Points(Arg("tickers", "BTC-USDT"), [point])]


@pytest.mark.parametrize("channel", ["books", "books5", "books50-l2-tbt", "books-l2-tbt", "bbo-tbt"])
def test_a_book_says_whether_it_is_a_snapshot(channel):
    book = {"asks": [["64001", "2", "0", "5"]], "bids": [], "ts": MS, "checksum": 0, "seqId": 7, "prevSeqId": -1}

    (event,) = parse_frame(a_push(channel, book, action="snapshot"))

    assert isinstance(event, Points)
    assert event.points[0].data_type is DataType.ORDERBOOK
    assert event.points[0].data == {"channel": channel, "action": "snapshot"} | book


@pytest.mark.parametrize(
    ("row", "named"),
    [
        pytest.param(
            [MS, "1", "4", "0.5", "2", "10", "20", "30", "1"],
            {
                "o": "1",
                "h": "4",
                "l": "0.5",
                "c": "2",
                "vol": "10",
                "volCcy": "20",
                "volCcyQuote": "30",
                "confirm": "1",
            },
            id="today",
        ),
        pytest.param(
            [MS, "1", "4", "0.5", "2", "10", "20"],
            {"o": "1", "h": "4", "l": "0.5", "c": "2", "vol": "10", "volCcy": "20"},
            id="before 2023",
        ),
    ],
)
def test_a_candles_fields_are_named(row, named):
    (event,) = parse_frame(a_push("candle1m", row))

    assert isinstance(event, Points)
    data = {"channel": "candle1m", "ts": MS} | named
    assert event.points == [MarketDataPoint("okx", "BTC-USDT", MOMENT, DataType.CANDLE, data)]


@pytest.mark.parametrize(
    "row", [[MS, "1"], [MS, *"123456789"], {"ts": MS}, [MS, 1, 2, 3, 4, 5, 6], ["soon", *"123456"]]
)
def test_a_row_that_is_no_candle_is_reported(row):
    (event,) = parse_frame(a_push("candle1m", row))

    assert isinstance(event, Malformed)
    assert json.loads(event.text) == row


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        pytest.param("pong", Pong(), id="pong"),
        pytest.param(
            '{"id":"1","event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a1"}',
            Subscribed(Arg("trades", "BTC-USDT"), "a1"),
            id="subscribed",
        ),
        pytest.param(
            '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}',
            Subscribed(Arg("trades", "BTC-USDT"), ""),
            id="subscribed, before 2023",
        ),
        pytest.param(
            '{"event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a1"}',
            Unsubscribed(Arg("trades", "BTC-USDT"), "a1"),
            id="unsubscribed",
        ),
        pytest.param(
            '{"id":"7","event":"error","code":"60018","msg":"Wrong channel:candle1s,instId:X-Y-SWAP here."}',
            Refused(
                "60018",
                "Wrong channel:candle1s,instId:X-Y-SWAP here.",
                Arg("candle1s", "X-Y-SWAP"),
                "7",
            ),
            id="refused, naming its arg",
        ),
        pytest.param(
            '{"event":"error","code":64001,"msg":"This channel has been migrated"}',
            Refused("64001", "This channel has been migrated", None),
            id="refused, naming none",
        ),
        pytest.param(
            '{"event":"notice","code":"64008","msg":"soon closed","connId":"a1"}',
            Notice("64008", "soon closed"),
            id="notice",
        ),
        pytest.param(
            '{"event":"channel-conn-count","channel":"tickers"}', Ignored("channel-conn-count"), id="unknown event"
        ),
        pytest.param('{"event":"subscribe"}', Ignored("subscribe"), id="an acknowledgement of nothing"),
        pytest.param(a_push("funding-rate", {"fundingRate": "0.1"}), Ignored("funding-rate"), id="unknown channel"),
    ],
)
def test_other_frames_are_told_apart(frame, event):
    assert parse_frame(frame) == [event]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "ping",
        "[]",
        "{}",
        '{"arg":{"channel":"trades","instId":"BTC-USDT"}}',
        '{"arg":{"channel":"trades"},"data":[{}]}',
        '{"arg":{"channel":"trades","instId":"BTC\\u0000"},"data":[{}]}',
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":{}}',
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[' + "[" * 100_000,
        a_push("trades", a_trade())[:-9],
        "\ud800",
    ],
)
def test_a_frame_that_makes_no_sense_is_reported_whole(frame):
    (event,) = parse_frame(frame)

    assert isinstance(event, Malformed)
    assert event.text == frame


def test_no_data_is_no_event():
    assert parse_frame(a_push("trades")) == []


@unhurried
@given(st.text() | st.text(st.characters(categories=["Cs", "Nd", "P"])))
def test_no_text_raises(text):
    parse_frame(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(MS),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.sampled_from([*a_trade(), "asks"]), inner),
    max_leaves=12,
)


@unhurried
@given(
    channel=st.sampled_from(["trades", "trades-all", "tickers", "books", "candle1m", "mark-price"]) | st.text(),
    symbol=st.just("BTC-USDT") | _json,
    data=st.lists(_json) | _json,
    envelope=st.dictionaries(st.sampled_from(["event", "code", "msg", "id", "action", "connId"]), _json),
)
@example(channel="trades", symbol="BTC-USDT", data=[10**400], envelope={})
def test_no_json_raises_and_no_object_is_lost(channel, symbol, data, envelope):
    frame = json.dumps({"arg": {"channel": channel, "instId": symbol}, "data": data, **envelope})

    events = parse_frame(frame)

    if "event" not in envelope and isinstance(data, list) and not any(isinstance(e, Ignored) for e in events):
        told = [
            len(e.records) if isinstance(e, Trades) else len(e.points) if isinstance(e, Points) else 1 for e in events
        ]
        assert sum(told) == len(data) or (len(events) == 1 and isinstance(events[0], Malformed))


def test_a_request_names_each_arg():
    frame = request("subscribe", [Arg("trades-all", "BTC-USDT"), Arg("candle1m", "ETH-USDT")], "42")

    assert json.loads(frame) == {
        "id": "42",
        "op": "subscribe",
        "args": [
            {"channel": "trades-all", "instId": "BTC-USDT"},
            {"channel": "candle1m", "instId": "ETH-USDT"},
        ],
    }


def test_the_largest_request_stays_below_64_kb():
    longest = Arg("\U0001d538" * 64, "\U0001d538" * 64)

    frame = request("unsubscribe", [longest] * ARGS_PER_REQUEST, "9" * 32)

    assert len(frame.encode()) < 64 * 1024
