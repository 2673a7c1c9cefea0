from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.candles import Bucket, Fold
from collector.ids import Runs
from repos.domain import EPOCH, Candle, InvalidValue, Series, Timeframe, Trade
from tests.builders import NOON
from tests.trades import a_trade, plain

SERIES = Series.of("okx", "BTC-USDT", "1d")
TINY = "0." + "0" * 17 + "1"

prices = st.decimals("0.01", "99999.99", places=2).map(str)
sizes = st.decimals("0", "1000", places=8).map(str)


@st.composite
def days(draw: st.DrawFn) -> list[Trade]:
    """Up to 40 trades of one day, with ascending ids without a hole; seconds mostly ascend too."""
    count = draw(st.integers(1, 40))
    seconds = sorted(draw(st.lists(st.integers(0, 11 * 3600), min_size=count, max_size=count)))
    trades, last_id = [], draw(st.integers(0, 10**9))
    for second in seconds:
        matches = draw(st.integers(1, 3))
        last_id += matches
        trades.append(a_trade(last_id, second, draw(prices), draw(sizes), matches))
    return trades


def a_bucket(*trades: Trade) -> Bucket:
    bucket = Bucket(SERIES, SERIES.timeframe.floor(NOON))
    for trade in trades:
        bucket.add(trade)
    return bucket


def candle(bucket: Bucket) -> Candle:
    made = bucket.candle(is_final=True)
    assert made is not None
    return made


def test_open_and_close_go_by_trade_id_and_not_by_time() -> None:
    bucket = a_bucket(a_trade(3, 1, "30"), a_trade(2, 9, "20"), a_trade(4, 2, "40"))

    made = candle(bucket)

    assert (made.open, made.high, made.low, made.close) == (20, 40, 20, 40)


def test_a_candle_counts_matches_and_sums_sizes() -> None:
    made = candle(a_bucket(a_trade(7, size="0.5", count=3), a_trade(8, size="0.25")))

    assert (made.trade_count, made.volume) == (4, Decimal("0.75"))
    assert made == plain([a_trade(7, size="0.5", count=3), a_trade(8, size="0.25")], "1d")[0]


def test_the_smallest_size_is_not_lost_in_a_great_volume() -> None:
    made = candle(a_bucket(a_trade(1, size="1" + "0" * 18), a_trade(2, size=TINY)))

    assert str(made.volume) == "1" + "0" * 18 + TINY[1:]


@settings(max_examples=60, deadline=None)
@given(days(), st.randoms(use_true_random=False))
def test_split_repeated_and_reordered_trades_make_the_same_candle(trades: list[Trade], random: Random) -> None:
    given_trades = trades + random.choices(trades, k=len(trades))
    random.shuffle(given_trades)
    cut = random.randrange(len(trades) + 1)
    repeated = a_bucket(*given_trades)
    merged = a_bucket()
    for part in random.sample([trades[:cut], trades[cut:]], 2):
        if part:
            fold = Fold(part[0])
            for trade in part[1:]:
                fold.add(trade)
            merged.merge(fold)

    assert [candle(repeated)] == [candle(merged)] == plain(trades, "1d")
    assert repeated.is_unbroken
    assert merged.is_unbroken


@settings(max_examples=30, deadline=None)
@given(days(), st.sampled_from(["5m", "15m", "1h", "1d"]))
def test_minutes_rolled_up_equal_the_longer_candle(trades: list[Trade], timeframe: str) -> None:
    minutes: dict[datetime, Fold] = {}
    for trade in trades:
        start = Timeframe("1m").floor(trade.timestamp)
        if start in minutes:
            minutes[start].add(trade)
        else:
            minutes[start] = Fold(trade)
    series = SERIES._replace(timeframe=Timeframe(timeframe))
    longer: dict[datetime, Bucket] = {}
    for minute, fold in minutes.items():
        start = series.timeframe.floor(minute)
        longer.setdefault(start, Bucket(series, start)).merge(fold)

    assert [candle(longer[start]) for start in sorted(longer)] == plain(trades, timeframe)


def test_merging_leaves_the_merged_fold_alone() -> None:
    minute = Fold(a_trade(1, price="5"))
    hour, day = a_bucket(), a_bucket()

    for bucket in (hour, day):
        bucket.merge(minute)
    hour.add(a_trade(2, price="9"))

    assert (minute.high, candle(hour).high, candle(day).high) == (5, 9, 5)


@pytest.mark.parametrize(
    ("timeframe", "start", "end"),
    [
        pytest.param("1M", date(2024, 2, 1), date(2024, 3, 1), id="a leap February"),
        pytest.param("3M", date(2024, 1, 1), date(2024, 4, 1), id="a quarter"),
        pytest.param("1w", date(2024, 2, 26), date(2024, 3, 4), id="from Monday"),
    ],
)
def test_weeks_and_months_keep_to_the_calendar(timeframe: str, start: date, end: date) -> None:
    leap_day = datetime(2024, 2, 29, 12, tzinfo=UTC)
    series = SERIES._replace(timeframe=Timeframe(timeframe))
    bucket = Bucket(series, series.timeframe.floor(leap_day))

    bucket.add(replace(a_trade(1), timestamp=leap_day))

    assert (candle(bucket).start_time.date(), candle(bucket).end_time.date()) == (start, end)


def test_a_missing_id_breaks_the_run() -> None:
    bucket = a_bucket(a_trade(5), a_trade(8, count=2))

    assert not bucket.is_unbroken
    assert list(bucket.ids.holes()) == [(6, 6)]
    bucket.add(a_trade(6))
    assert bucket.is_unbroken
    assert (bucket.first_id, bucket.last_id) == (5, 8)


def test_an_aggregate_over_half_counted_matches_is_refused_aloud() -> None:
    bucket = a_bucket(a_trade(5), a_trade(6))
    before = candle(bucket)

    assert not bucket.add(a_trade(7, count=2))

    assert candle(bucket) == before


def test_an_aggregate_of_counted_matches_is_a_repetition() -> None:
    bucket = a_bucket(a_trade(5), a_trade(6))
    before = candle(bucket)

    assert bucket.add(a_trade(6, count=2, size="2"))

    assert candle(bucket) == before


def test_a_bucket_without_trades_makes_no_candle_and_has_no_run() -> None:
    bucket = a_bucket(a_trade(1))

    bucket.clear()

    assert bucket.candle(is_final=True) is None
    assert not bucket.is_unbroken


def test_a_volume_beyond_a_candle_is_an_error() -> None:
    bucket = a_bucket(a_trade(1, size="9" * 38), a_trade(2, size="9" * 38))

    with pytest.raises(InvalidValue, match="volume"):
        bucket.candle(is_final=True)


def test_a_week_that_begins_before_1970_is_no_candle() -> None:
    week = Bucket(SERIES._replace(timeframe=Timeframe("1w")), Timeframe("1w").floor(EPOCH))
    week.add(a_trade(1))

    with pytest.raises(InvalidValue, match="start_time"):
        week.candle(is_final=True)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), max_size=30), st.integers(0, 60), st.integers(0, 9))
def test_runs_are_a_set_of_ids(spans: list[tuple[int, int]], first: int, length: int) -> None:
    runs, plainly = Runs(), set[int]()
    for start, more in spans:
        runs.add(start, start + more)
        plainly |= set(range(start, start + more + 1))
    asked = set(range(first, first + length + 1))

    assert {i for a, b in runs for i in range(a, b + 1)} == plainly
    assert all(after > before + 1 for (_, before), (after, _) in zip(list(runs), list(runs)[1:], strict=False))
    assert runs.covers(first, first + length) == (asked <= plainly)
    assert runs.meets(first, first + length) == bool(asked & plainly)
    if plainly:
        missing = {i for a, b in runs.holes() for i in range(a, b + 1)}
        assert missing == set(range(runs.first, runs.last + 1)) - plainly


def test_only_the_highest_runs_are_kept() -> None:
    runs = Runs()
    for first in range(0, 100, 10):
        runs.add(first, first + 1)

    runs.keep(2)

    assert list(runs) == [(80, 81), (90, 91)]
