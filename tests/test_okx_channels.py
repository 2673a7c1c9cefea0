from datetime import UTC, datetime, timedelta

import pytest

from collector.okx.channels import ARGS_PER_CONNECTION, BUSINESS, PUBLIC, Channels
from collector.okx.protocol import Arg
from repos.domain import DataType
from repos.events import Refusal

ALL = Arg("trades-all", "BTC-USDT")
SOME = Arg("trades", "BTC-USDT")


def refusal(code: str, second: int = 0, words: str = "no") -> Refusal:
    return Refusal(code, words, datetime(2026, 1, 1, second=second, tzinfo=UTC))


@pytest.mark.parametrize(
    ("data_types", "connections"),
    [
        pytest.param([DataType.TRADE], 3, id="one arg a symbol"),
        pytest.param([DataType.TRADE, DataType.CANDLE], 5, id="two on business"),
        pytest.param([DataType.TICKER, DataType.ORDERBOOK], 5, id="two on public"),
        pytest.param(list(DataType), 8, id="trades that are refused on business need their place on public"),
    ],
)
def test_no_connection_takes_more_args_than_the_exchange_grants(data_types, connections):
    symbols = [f"COIN{number}-USDT" for number in range(250)]

    parts = Channels.split(symbols, data_types)
    followed = [row.symbol for part in parts for row in part.health({})]
    for part in parts:
        for arg in part.args(BUSINESS):
            part.refused(BUSINESS, arg, refusal("64003"))

    assert len(parts) == connections
    assert set(followed) == set(symbols)
    assert len(followed) == len(symbols) * len(data_types)
    assert max(len(part.args(endpoint)) for part in parts for endpoint in (PUBLIC, BUSINESS)) <= ARGS_PER_CONNECTION


def test_a_refused_channel_is_not_connected_and_the_others_are():
    channels = Channels(["BTC-USDT", "ETH-USDT"], [DataType.TICKER])
    bitcoin, ether = channels.args(PUBLIC)
    channels.connected(PUBLIC, bitcoin)
    channels.connected(PUBLIC, ether)

    instead = channels.refused(PUBLIC, bitcoin, refusal("60018"))

    assert instead is None
    assert [(row.symbol, row.connected) for row in channels.health({})] == [("BTC-USDT", False), ("ETH-USDT", True)]


def test_single_matches_are_wanted_again_where_the_exchange_knows_no_aggregates_either():
    channels = Channels(["BTC-USDT"], [DataType.TRADE])

    aggregates = channels.refused(BUSINESS, ALL, refusal("60018"))
    instead = channels.refused(PUBLIC, Arg("trades", "BTC-USDT"), refusal("60018"))

    assert (aggregates, instead) == (Arg("trades", "BTC-USDT"), ALL)
    assert (channels.args(BUSINESS), channels.args(PUBLIC)) == ([ALL], [])


def test_each_channel_of_a_symbol_is_refused_since_the_first_time_in_the_words_said_of_it_last():
    channels = Channels(["BTC-USDT"], [DataType.TRADE])
    told = []

    for second, (endpoint, arg) in enumerate([(BUSINESS, ALL), (PUBLIC, SOME)] * 2):
        channels.refused(endpoint, arg, refusal("60018", second, f"{arg.channel} {second}"))
        told += [(row.channel, row.refusal) for row in channels.health({})]
    channels.connected(BUSINESS, ALL)

    assert told == [
        ("trades", None),
        ("trades-all", refusal("60018", 0, "trades-all 0")),
        ("trades", refusal("60018", 1, "trades 1")),
        ("trades-all", refusal("60018", 0, "trades-all 2")),
    ]
    assert [row.refusal for row in channels.health({})] == [None]


def test_refused_single_matches_are_followed_as_aggregates_on_the_other_endpoint():
    channels = Channels(["BTC-USDT"], [DataType.TRADE])

    instead = channels.refused(BUSINESS, ALL, refusal("64003"))

    assert instead == Arg("trades", "BTC-USDT")
    assert (channels.args(BUSINESS), channels.args(PUBLIC)) == ([], [instead])


def test_a_stalled_channel_is_not_connected_until_it_is_acknowledged_again():
    channels = Channels(["BTC-USDT"], [DataType.TRADE])
    channels.connected(BUSINESS, ALL)

    channels.stalled(BUSINESS, ALL)
    (stalled,) = channels.health({})
    channels.connected(BUSINESS, ALL)
    (again,) = channels.health({})

    assert (stalled.connected, again.connected, again.reconnects) == (False, True, 1)


def test_the_lag_is_that_of_live_trades_not_of_the_old_one_that_a_subscription_begins_with():
    channels = Channels(["BTC-USDT"], [DataType.TRADE])
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def lag_after(seconds: float) -> float | None:
        channels.received(BUSINESS, ALL, now, now - timedelta(seconds=seconds))
        (row,) = channels.health({})
        assert row.last_message_at == now
        return row.lag_ms

    channels.connected(BUSINESS, ALL)
    assert [lag_after(64), lag_after(0.02)] == [None, 20]

    channels.disconnected(BUSINESS)
    channels.connected(BUSINESS, ALL)
    assert [lag_after(64), lag_after(0.03)] == [20, 30]


def test_a_candle_tells_no_lag_because_its_time_is_its_opening():
    channels = Channels(["BTC-USDT"], [DataType.CANDLE])
    (candle,) = channels.args(BUSINESS)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    channels.connected(BUSINESS, candle)

    for _ in range(2):
        channels.received(BUSINESS, candle, now, now - timedelta(seconds=59))

    (row,) = channels.health({})
    assert (row.last_message_at, row.lag_ms) == (now, None)
