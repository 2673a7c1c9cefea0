import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repos.domain import (
    DIGITS,
    EPOCH,
    PLACES,
    Bot,
    BotStatus,
    DataType,
    InvalidValue,
    MarketDataPoint,
    OHLCVCandle,
    Series,
    Timeframe,
    exact,
    instant,
    label,
    number,
)
from tests.builders import MINUTE, NOON, a_candle, a_trade

moments = st.datetimes(datetime(1970, 1, 1), datetime(2251, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


timeframes = st.builds(
    lambda count, unit: Timeframe(f"{count}{unit}"),
    st.integers(1, 120),
    st.sampled_from(["s", "m", "h", "d", "w", "M"]),
)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("5s", "5s"),
        ("60s", "1m"),
        ("90s", "90s"),
        ("3600s", "1h"),
        ("86400s", "1d"),
        ("60m", "1h"),
        ("1440m", "1d"),
        ("24h", "1d"),
        ("36h", "36h"),
        ("7d", "7d"),
        ("1w", "1w"),
        ("12M", "12M"),
        ("3653d", "3653d"),
        ("521w", "521w"),
        ("120M", "120M"),
    ],
)
def test_a_timeframe_is_written_in_the_largest_unit_that_divides(written: str, stored: str) -> None:
    timeframe = Timeframe(written)

    assert timeframe == stored
    assert (str(timeframe), f"{timeframe}", hash(timeframe)) == (stored, stored, hash(stored))
    assert Timeframe(timeframe) is timeframe
    assert pickle.loads(pickle.dumps(timeframe)) == timeframe  # noqa: S301


@pytest.mark.parametrize(
    "text", ["", "5", "m", "0m", "05m", "1.5h", "-1m", "1 m", "1H", "1D", "1y", "5S", "५m", "1m\n", "9" * 11 + "s"]
)
def test_what_is_no_timeframe_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^timeframe: .* is not a count and a unit, such as 5s, 1m"):
        Timeframe(text)


@pytest.mark.parametrize("text", ["3654d", "522w", "121M", "9999999999s", "9999999999M"])
def test_a_timeframe_longer_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="longer than ten years"):
        Timeframe(text)


@pytest.mark.parametrize(
    ("timeframe", "moment", "start", "end"),
    [
        pytest.param("5s", "2024-01-01 12:00:04.999999", "2024-01-01 12:00", "2024-01-01 12:00:05", id="seconds"),
        pytest.param("1m", "2024-01-01 12:00", "2024-01-01 12:00", "2024-01-01 12:01", id="a start is its own"),
        pytest.param("7m", "1970-01-01 00:13:59", "1970-01-01 00:07", "1970-01-01 00:14", id="odd counts from 1970"),
        pytest.param("4h", "2024-02-29 23:59:59", "2024-02-29 20:00", "2024-03-01 00:00", id="hours"),
        pytest.param("2d", "1970-01-04 12:00", "1970-01-03 00:00", "1970-01-05 00:00", id="days from 1970"),
        pytest.param("7d", "1970-01-08 00:00", "1970-01-08 00:00", "1970-01-15 00:00", id="7 days from a Thursday"),
        pytest.param("1w", "2024-01-07 23:59:59", "2024-01-01 00:00", "2024-01-08 00:00", id="weeks from a Monday"),
        pytest.param("2w", "1970-01-12 00:00", "1970-01-12 00:00", "1970-01-26 00:00", id="from 1969-12-29"),
        pytest.param("1M", "2024-02-29 12:00", "2024-02-01 00:00", "2024-03-01 00:00", id="a leap month"),
        pytest.param("5M", "1970-12-31 00:00", "1970-11-01 00:00", "1971-04-01 00:00", id="months from 1970"),
        pytest.param("12M", "2024-07-01 00:00", "2024-01-01 00:00", "2025-01-01 00:00", id="a year"),
    ],
)  # fmt: skip
def test_a_moment_lies_in_this_bucket(timeframe: str, moment: str, start: str, end: str) -> None:
    length = Timeframe(timeframe)

    found = length.floor(utc(moment))

    assert (found, length.end(found)) == (utc(start), utc(end))


@given(timeframes, moments)
def test_buckets_cover_all_time_and_never_overlap(timeframe: Timeframe, moment: datetime) -> None:
    start = timeframe.floor(moment)
    end = timeframe.end(start)

    assert start <= moment < end
    assert timeframe.floor(start) == start
    assert timeframe.floor(end) == end
    assert timeframe.floor(end - timedelta(microseconds=1)) == start


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0.00000001", Decimal("0.00000001")),
        ("1e-8", Decimal("0.00000001")),
        ("+5.", Decimal(5)),
        ("-0.5", Decimal("-0.5")),
        (7, Decimal(7)),
        (Decimal("1.10"), Decimal("1.10")),
        ("9" * 38, Decimal("9" * 38)),
        ("9" * 20 + "." + "9" * 18, Decimal("9" * 20 + "." + "9" * 18)),
    ],
)
def test_exact_numbers_stay_what_they_are(value: object, number: Decimal) -> None:
    assert exact("price", value) == number
    assert str(exact("price", value).normalize()) == str(number.normalize())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param(0.1, "0.1 is a float, which is not exact", id="float"),
        pytest.param(float("nan"), "is a float", id="float NaN"),
        pytest.param(True, "True is not a decimal number", id="boolean"),
        pytest.param(None, "None is not a decimal number", id="None"),
        pytest.param("", "is not a decimal number", id="empty"),
        pytest.param("NaN", "is not a decimal number", id="NaN"),
        pytest.param("Infinity", "is not a decimal number", id="Infinity"),
        pytest.param("1_000", "is not a decimal number", id="underscore"),
        pytest.param("\u0661", "is not a decimal number", id="other digits"),
        pytest.param(" 1", "is not a decimal number", id="space"),
        pytest.param("1e9999", "is not a decimal number", id="huge exponent"),
        pytest.param("1" * 100, "is not a decimal number", id="long text"),
        pytest.param(Decimal("NaN"), "NaN is not finite", id="Decimal NaN"),
        pytest.param(Decimal("-Infinity"), "-Infinity is not finite", id="Decimal infinity"),
        pytest.param("0." + "0" * 18 + "1", "more than 18 digits after the point", id="too fine"),
        pytest.param("1e38", "more than 38 digits", id="too large"),
        pytest.param("9" * 21 + "." + "9" * 18, "more than 38 digits", id="too long"),
        pytest.param(10**4400, "more than 38 digits", id="an integer that int() would not print"),
    ],
)
def test_inexact_or_unbounded_numbers_are_refused(value: object, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem) as raised:
        exact("price", value)

    assert raised.value.name == "price"
    assert len(str(raised.value)) < 200


@given(st.decimals(allow_nan=False, allow_infinity=False, places=PLACES, min_value=-(10**19), max_value=10**19))
def test_a_number_within_bounds_survives_as_text(number: Decimal) -> None:
    if len(number.as_tuple().digits) <= DIGITS:
        assert exact("price", format(number, "f")) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (50000.0, "50000"),
        (0.1, "0.1"),
        (1.5, "1.5"),
        (-0.0, "0"),
        (1e22, "10000000000000000000000"),
        (1e-7, "1E-7"),  # Python's str of Decimal("0.0000001")
        (123456789.12345678, "123456789.12345678"),
        (Decimal("5E+4"), "50000"),
        ("5E+4", "50000"),
        (Decimal("1.50"), "1.50"),
        (7, "7"),
    ],
)
def test_a_number_from_python_is_the_one_that_python_prints(value: object, text: str) -> None:
    assert str(number("price", value)) == text


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), 1e38, 1e300, 5e-324, True, None, "NaN", [1.0]]
)
def test_floats_that_are_no_number_here_are_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^price: ") as raised:
        number("price", value)

    assert len(str(raised.value)) < 200


def test_a_float_of_another_library_is_the_number_that_it_is() -> None:
    class Scalar(float):
        def __repr__(self) -> str:
            return f"library.float64({float(self)})"

    assert str(number("price", Scalar(50000))) == "50000"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e19, max_value=1e19))
def test_a_float_is_taken_by_its_shortest_form_or_refused(value: float) -> None:
    try:
        taken = number("price", value)
    except InvalidValue as error:
        assert "digits" in error.problem  # noqa: PT017 -- both ends are right
    else:
        assert float(taken) == value
        assert "E+" not in str(taken)


def test_an_instant_is_told_in_utc() -> None:
    tokyo = datetime(2024, 1, 1, 21, tzinfo=timezone(timedelta(hours=9)))

    assert instant("start", tokyo) == NOON
    assert instant("start", tokyo).tzinfo is UTC
    assert instant("start", NOON) is NOON


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param(datetime(2024, 1, 1), "no offset from UTC", id="naive"),  # noqa: DTZ001
        pytest.param(EPOCH - timedelta(microseconds=1), "outside the years 1970 to 2261", id="before 1970"),
        pytest.param(datetime(2262, 1, 1, tzinfo=UTC), "outside the years", id="after 2261"),
        pytest.param(
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9))), "outside the years", id="before year 1 in UTC"
        ),
    ],
)
def test_instants_out_of_bounds_are_refused(value: datetime, problem: str) -> None:
    with pytest.raises(InvalidValue, match=f"^start: .*{problem}"):
        instant("start", value)


def test_a_label_is_short_and_printable() -> None:
    assert label("symbol", "BTC-USDT-SWAP") == "BTC-USDT-SWAP"
    assert label("name", "Mein Bot Nr. 1 \U0001f680", spaces=True) == "Mein Bot Nr. 1 \U0001f680"


@pytest.mark.parametrize("value", ["", "x" * 65, "a b", "a\0b", "a\nb", "\ud800", "a\u2028b", "\u202eabc", " "])
def test_other_labels_are_refused(value: str) -> None:
    with pytest.raises(InvalidValue, match=r"^symbol: .* is not 1 to 64 printable characters without spaces$"):
        label("symbol", value)


def test_a_series_is_checked_when_made_of_names() -> None:
    series = Series.of("okx", "BTC-USDT", "60s")

    assert series == ("okx", "BTC-USDT", "1m")
    assert str(series) == "okx BTC-USDT 1m"
    with pytest.raises(InvalidValue, match="exchange"):
        Series.of("", "BTC-USDT", "1m")


def test_a_candle_is_made_of_plain_values_too() -> None:
    candle = OHLCVCandle(
        exchange="okx", symbol="BTC-USDT", timeframe="60s",  # type: ignore[arg-type]
        open="100", high=102, low="99.5", close="101", volume=0, trade_count=0,  # type: ignore[arg-type]
        start_time=NOON, end_time=NOON + MINUTE,
    )  # fmt: skip

    assert candle == a_candle(open=100, high=102, low="99.5", close=101, volume=0, trade_count=0)
    assert (candle.series, candle.timestamp) == (Series.of("okx", "BTC-USDT", "1m"), NOON)
    assert isinstance(candle.low, Decimal)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"high": "100.5"}, "^high: 100.5 is below close 101$", id="close above high"),
        pytest.param({"open": 103, "high": 102}, "^high: 102 is below open 103$", id="open above high"),
        pytest.param({"low": "100.5"}, "^low: 100.5 is above open 100$", id="open below low"),
        pytest.param({"close": 99, "low": "99.5"}, "^low: 99.5 is above close 99$", id="close below low"),
        pytest.param(
            {"high": 98, "low": 99, "open": 99, "close": 99}, "^low: 99 is above high 98$", id="high below low"
        ),
        pytest.param({"volume": "-0.1"}, "^volume: -0.1 is negative$", id="negative volume"),
        pytest.param({"trade_count": -1}, "^trade_count: -1 is not between", id="negative count"),
        pytest.param({"trade_count": 2**31}, "^trade_count: 2147483648 is not between", id="large count"),
        pytest.param({"open": float("inf"), "high": 101, "low": 100}, "^open: inf is not finite", id="float"),
        pytest.param({"symbol": "BTC USDT"}, "^symbol: ", id="symbol"),
        pytest.param({"exchange": ""}, "^exchange: ", id="exchange"),
        pytest.param(
            {"start_time": NOON + timedelta(seconds=1)},
            "^start_time: .* is not the start of a 1m candle$",
            id="unaligned",
        ),
        pytest.param(
            {"end_time": NOON + 2 * MINUTE},
            "^end_time: .*12:02:00.* is not .*12:01:00.*, the start plus 1m$",
            id="end",
        ),
    ],
)
def test_a_wrong_candle_says_what_is_wrong(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        a_candle(**changes)


prices = st.decimals("0.00000001", "1000000", places=8)


@given(prices, prices, prices, prices)
def test_a_candle_is_valid_exactly_when_low_and_high_hold_the_rest(
    open_: Decimal, high: Decimal, low: Decimal, close: Decimal
) -> None:
    valid = low <= open_ <= high and low <= close <= high

    try:
        candle = a_candle(open=open_, high=high, low=low, close=close)
    except InvalidValue:
        assert not valid
    else:
        assert valid
        assert (candle.open, candle.high, candle.low, candle.close) == (open_, high, low, close)


def test_a_candle_never_changes() -> None:
    with pytest.raises(AttributeError):
        a_candle().close = Decimal(1)  # type: ignore[misc]


def test_a_point_is_checked() -> None:
    point = MarketDataPoint("okx", "BTC-USDT", NOON.astimezone(timezone(MINUTE)), DataType.TICKER, {"last": "1"})

    assert point.timestamp.tzinfo is UTC
    with pytest.raises(InvalidValue, match="symbol"):
        MarketDataPoint("okx", "", NOON, DataType.TICKER, {})


def test_a_trade_of_several_matches_ends_with_its_own_id() -> None:
    assert a_trade(trade_id=12, count=3).first_id == 10
    assert a_trade(trade_id=12).first_id == 12


@pytest.mark.parametrize(
    ("status", "heartbeat", "stale"),
    [
        pytest.param(BotStatus.ACTIVE, NOON - 3 * MINUTE, True, id="silent"),
        pytest.param(BotStatus.ACTIVE, NOON - MINUTE, False, id="alive"),
        pytest.param(BotStatus.PAUSED, NOON - 3 * MINUTE, False, id="not active"),
        pytest.param(BotStatus.ACTIVE, None, True, id="silent since its last change"),
    ],
)
def test_an_active_bot_without_a_sign_of_life_is_stale(
    status: BotStatus, heartbeat: datetime | None, stale: bool
) -> None:
    bot = Bot(
        1, "a", "b", "okx", "BTC-USDT", Timeframe("1h"), status, Decimal(0), {}, heartbeat, EPOCH, NOON - 3 * MINUTE, 1
    )

    assert bot.is_stale(NOON, 2 * MINUTE) is stale
    assert bot.series == ("okx", "BTC-USDT", "1h")


def test_a_zero_has_no_sign_as_in_postgresql() -> None:
    assert str(exact("volume", "-0.00")) == "0.00"
