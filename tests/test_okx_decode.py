from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repos.decode import decode_trade, milliseconds
from repos.domain import InvalidValue, Side, Trade

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def a_raw_trade(**changes: Any) -> dict[str, Any]:
    """A trade object of the channel trades; None takes a field away."""
    fields = {
        "instId": "BTC-USDT",
        "tradeId": "130639474",
        "px": "42219.9",
        "sz": "0.12060306",
        "side": "buy",
        "ts": "1630048897897",
        "count": "3",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def test_a_trade_is_read_exactly():
    trade = decode_trade("okx", "BTC-USDT", a_raw_trade(source="0", seqId=343863650837))

    moment = datetime(2021, 8, 27, 7, 21, 37, 897000, UTC)
    assert trade == Trade("okx", "BTC-USDT", 130639474, moment, Decimal("42219.9"), Decimal("0.12060306"), Side.BUY, 3)
    assert trade.first_id == 130639472


def test_a_single_match_counts_one():
    trade = decode_trade("okx", "BTC-USDT", a_raw_trade(count=None, instId=None, side="sell"))

    assert (trade.count, trade.side) == (1, Side.SELL)


def test_sizes_in_exponent_form_are_exact():
    trade = decode_trade("okx", "BTC-USDT", a_raw_trade(sz="7.98e-05"))

    assert trade.size == Decimal("0.0000798")


def test_json_integers_are_whole_numbers_too():
    trade = decode_trade("okx", "BTC-USDT", a_raw_trade(tradeId=7, ts=1630048897897, count=2, px=42000))

    assert (trade.trade_id, trade.count, trade.price) == (7, 2, Decimal(42000))


@pytest.mark.parametrize(
    ("changes", "name", "problem"),
    [
        ({"tradeId": None}, "tradeId", "is missing"),
        ({"px": None}, "px", "is missing"),
        ({"sz": None}, "sz", "is missing"),
        ({"side": None}, "side", "is missing"),
        ({"ts": None}, "ts", "is missing"),
        ({"instId": "ETH-USDT"}, "instId", "'ETH-USDT' is not BTC-USDT"),
        ({"tradeId": "-1"}, "tradeId", "'-1' is not a whole number between 0 and 9223372036854775807"),
        ({"tradeId": "9" * 99}, "tradeId", f"'{'9' * 76}... is not a whole number between 0 and 9223372036854775807"),
        ({"tradeId": str(2**63)}, "tradeId", "9223372036854775808 is not between 0 and 9223372036854775807"),
        (
            {"tradeId": "\uff11\uff12"},
            "tradeId",
            "'\uff11\uff12' is not a whole number between 0 and 9223372036854775807",
        ),
        ({"tradeId": True}, "tradeId", "True is not a whole number between 0 and 9223372036854775807"),
        ({"tradeId": -1}, "tradeId", "-1 is not between 0 and 9223372036854775807"),
        ({"px": 42219.9}, "px", "42219.9 is a float, which is not exact; write it as a string or a Decimal"),
        ({"px": "NaN"}, "px", "'NaN' is not a decimal number such as 0.00000001"),
        ({"sz": "-1"}, "sz", "-1 is negative"),
        ({"sz": "1" * 39}, "sz", f"'{'1' * 39}' has more than 38 digits"),
        ({"side": "BUY"}, "side", "'BUY' is neither buy nor sell"),
        ({"side": ["buy"]}, "side", "['buy'] is neither buy nor sell"),
        ({"ts": "1630048897.897"}, "ts", "'1630048897.897' is not a whole number between 0 and 9214646399999"),
        ({"ts": "9214646400000"}, "ts", "9214646400000 is not between 0 and 9214646399999"),
        ({"count": "0"}, "count", "0 is not between 1 and the number of ids up to 130639474"),
        ({"count": "5", "tradeId": "3"}, "count", "5 is not between 1 and the number of ids up to 3"),
        ({"count": str(2**31)}, "count", "2147483648 is not between 0 and 2147483647"),
    ],
)
def test_a_field_that_cannot_be_is_named_with_its_value(changes, name, problem):
    with pytest.raises(InvalidValue) as caught:
        decode_trade("okx", "BTC-USDT", a_raw_trade(**changes))

    assert (caught.value.name, caught.value.problem) == (name, problem)


@unhurried
@given(st.integers(0, 9214646399999))
def test_a_millisecond_is_exact(value):
    moment = milliseconds("ts", str(value))

    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(value / 1000)
    assert moment.microsecond == value % 1000 * 1000


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@unhurried
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(a_raw_trade(), _json)))
def test_no_object_fails_otherwise_than_as_an_invalid_value(raw):
    with suppress(InvalidValue):
        decode_trade("okx", "BTC-USDT", raw)
