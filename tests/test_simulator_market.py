"""The simulated market is a pure function of seed and time, and its candles are nothing but its trades."""

import hashlib
import subprocess
import sys
from decimal import Decimal
from functools import cache
from itertools import pairwise

import pytest

from collector.okx.simulator.bars import NAMES, Bar, bar
from collector.okx.simulator.candles import HISTORY, Candles
from collector.okx.simulator.instruments import INSTRUMENTS, LISTED, plain
from collector.okx.simulator.market import HOUR, MINUTE, Market, Match

NOON = 1_795_521_600_000
"""2026-11-24T12:00Z"""
DAY = 24 * HOUR

FINGERPRINT = """
from tests.test_simulator_market import NOON, MINUTE, fingerprint
print(fingerprint(NOON - MINUTE, NOON))
"""


def market(inst_id: str = "BTC-USDT", *, seed: int = 7, rate: float = 1.0) -> Market:
    return Market(INSTRUMENTS[inst_id], seed, rate)


def fingerprint(start: int, end: int) -> str:
    matches = [tuple(match) for inst_id in INSTRUMENTS for match in market(inst_id).between(start, end)]
    return hashlib.sha256(repr(matches).encode()).hexdigest()


def test_another_process_sees_the_same_market():
    told = subprocess.run([sys.executable, "-c", FINGERPRINT], capture_output=True, check=True, text=True).stdout

    assert told.strip() == fingerprint(NOON - MINUTE, NOON)


def test_every_python_on_every_machine_sees_the_same_market():
    assert fingerprint(NOON, NOON + MINUTE) == "ea55631fab52c330a847ab78f4681000707c640cbe63b8c319757d6e1213c9c1"


@pytest.mark.parametrize("inst_id", INSTRUMENTS)
@pytest.mark.parametrize("rate", [0.01, 1.0, 30.0])
def test_ids_are_contiguous_and_times_never_go_back(inst_id, rate):
    here = market(inst_id, rate=rate)
    length = MINUTE if rate > 1 else 2 * HOUR

    matches = here.between(NOON - length, NOON + length)

    assert [m.id for m in matches] == list(range(matches[0].id, matches[-1].id + 1))
    assert all(before.time <= after.time for before, after in pairwise(matches))
    assert NOON - length <= matches[0].time
    assert matches[-1].time < NOON + length
    assert all(m.price > 0 and m.size > 0 for m in matches)


@pytest.mark.parametrize(("rate", "span"), [(1.0, 20_000), (8000.0, 100)])
def test_it_can_be_asked_anywhere_by_time_and_by_id(rate, span):
    whole = market(rate=rate).between(NOON - span, NOON + span)

    for match in whole[:: len(whole) // 7]:
        fresh = market(rate=rate)
        assert fresh.read(match.id, match.id) == [match]
        assert match.id <= fresh.last_id(match.time)
        assert fresh.read(fresh.last_id(match.time), fresh.last_id(match.time))[0].time == match.time
        assert match in fresh.between(match.time, match.time + 1)


def test_another_seed_is_another_market():
    assert market(seed=8).between(NOON, NOON + MINUTE) != market(seed=7).between(NOON, NOON + MINUTE)


def test_matches_of_one_order_share_time_and_side():
    orders: dict[int, list[Match]] = {}
    for match in market().between(NOON - HOUR, NOON):
        orders.setdefault(match.order, []).append(match)

    assert all(len({(m.time, m.is_buy, m.is_elp) for m in order}) == 1 for order in orders.values())
    assert all(order[0].id == name for name, order in orders.items())
    assert max(len(order) for order in orders.values()) > 5
    assert max(len({m.price for m in order}) for order in orders.values()) == 2


def test_the_rate_multiplies_the_trades():
    slow, fast = (len(market(rate=rate).between(NOON - HOUR, NOON)) for rate in (0.5, 1.0))

    assert fast == 2 * slow == 60 * INSTRUMENTS["BTC-USDT"].per_minute


def test_prices_wander_without_jumps():
    matches = market("SOL-USDT").between(NOON - DAY, NOON)

    prices = [m.price for m in matches]

    assert 0.005 < (max(prices) - min(prices)) / prices[0] < 0.2
    assert max(abs(b - a) for a, b in pairwise(prices)) / prices[0] < 0.001


def test_nothing_was_traded_before_the_market_opened():
    assert market().last_id(LISTED - 1) == -1
    assert market().between(LISTED, LISTED + MINUTE)[0].id == 0


@pytest.mark.parametrize(
    ("units", "places", "text"),
    [(0, 2, "0"), (12340, 9, "0.00001234"), (853000, 1, "85300"), (853001, 1, "85300.1"), (7, 0, "7"), (50, 2, "0.5")],
)
def test_numbers_are_written_as_the_exchange_writes_them(units, places, text):
    assert plain(units, places) == text


@pytest.mark.parametrize("inst_id", ["BTC-USDT", "BTC-USDT-SWAP", "SHIB-USDT"])
@pytest.mark.parametrize("name", ["1s", "1m", "5m", "1H"])
def test_a_candle_is_its_trades_added_up(inst_id, name):
    spec, here = INSTRUMENTS[inst_id], market(inst_id)
    length = bar(name)
    start = length.before(length.floor(NOON))

    row = Candles(market(inst_id)).row(length, start, NOON)

    matches = here.between(start, length.after(start))
    prices = [Decimal(spec.price(m.price)) for m in matches] or [Decimal(spec.price(last_before(here, start).price))]
    sizes = [Decimal(spec.size(m.size)) for m in matches]
    coins = [size * Decimal("0.01") if spec.is_swap else size for size in sizes]
    quote = sum((p * c for p, c in zip(prices, coins, strict=False)), Decimal())
    expected = [
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(sizes),
        sum(coins) if spec.is_swap else quote,
        quote,
    ]
    assert row[0] == str(start)
    assert [Decimal(text) for text in row[1:8]] == expected
    assert row[8] == "1"


def last_before(here: Market, moment: int) -> Match:
    last = here.last_id(moment - 1)
    return here.read(last, last)[0]


def test_a_long_candle_is_its_hours_put_together():
    candles = Candles(market("SHIB-USDT"))
    day, hour = bar("1D"), bar("1H")
    start = day.before(day.floor(NOON))

    row = candles.row(day, start, NOON)

    hours = [candles.row(hour, start + i * HOUR, NOON) for i in range(24)]
    assert row[1:5] == [
        hours[0][1],
        str(max(Decimal(h[2]) for h in hours)),
        str(min(Decimal(h[3]) for h in hours)),
        hours[-1][4],
    ]
    assert Decimal(row[5]) == sum(Decimal(h[5]) for h in hours)
    assert Decimal(row[7]) == sum(Decimal(h[7]) for h in hours)


def test_an_open_candle_holds_what_happened_until_now():
    here = Candles(market())
    half = NOON + 30_000

    row = here.row(bar("1m"), NOON, half)

    matches = here.market.between(NOON, half + 1)
    assert row[8] == "0"
    assert row[4] == here.market.spec.price(matches[-1].price)
    assert row[5] == here.market.spec.size(sum(m.size for m in matches))


def test_a_minute_without_trades_is_flat_at_the_previous_close():
    here = market("SHIB-USDT")
    quiet = next(t for t in range(NOON - DAY, NOON, MINUTE) if not here.between(t, t + MINUTE))

    row = Candles(here).row(bar("1m"), quiet, quiet + MINUTE)

    close = here.spec.price(last_before(here, quiet).price)
    assert row == [str(quiet), close, close, close, close, "0", "0", "0", "1"]


@pytest.mark.parametrize(
    ("name", "opened", "following"),
    [
        pytest.param("1m", NOON, NOON + MINUTE, id="minutes are cut on UTC"),
        pytest.param("4H", NOON, NOON + 4 * HOUR, id="so are four hours"),
        pytest.param("6H", NOON - 2 * HOUR, NOON + 4 * HOUR, id="six hours are cut on UTC+8"),
        pytest.param("6Hutc", NOON, NOON + 6 * HOUR, id="unless the name says utc"),
        pytest.param("1D", NOON - 20 * HOUR, NOON + 4 * HOUR, id="a day opens at 16:00Z"),
        pytest.param("1Dutc", NOON - 12 * HOUR, NOON + 12 * HOUR, id="a utc day at midnight"),
        pytest.param("1W", NOON - 44 * HOUR, NOON + 124 * HOUR, id="a week on Monday"),
        pytest.param("1Wutc", NOON - 36 * HOUR, NOON + 132 * HOUR, id="a utc week too"),
        pytest.param("1Mutc", 1_793_491_200_000, 1_796_083_200_000, id="a month on its first"),
        pytest.param("1M", 1_793_491_200_000 - 8 * HOUR, 1_796_083_200_000 - 8 * HOUR, id="a month of UTC+8"),
        pytest.param("3Mutc", 1_790_812_800_000, 1_798_761_600_000, id="a quarter"),
    ],
)
def test_bars_are_cut_where_the_exchange_cuts_them(name, opened, following):
    length = bar(name)

    assert length.floor(NOON + 1) == opened
    assert length.after(opened) == following
    assert length.before(following) == opened


def test_there_is_no_five_second_candle():
    assert bar("5s") is None
    assert all(isinstance(bar(name), Bar) for name in NAMES)


@cache
def a_quiet_week() -> Candles:
    return Candles(market("SHIB-USDT", rate=0.1))


def test_rows_come_newest_first_and_end_where_the_history_begins():
    here = a_quiet_week()

    rows = here.rows(bar("1H"), NOON + 1, 0, 1000, NOON)

    assert [int(row[0]) for row in rows] == list(range(NOON, NOON - HISTORY - 1, -HOUR))
    assert [row[8] for row in rows] == ["0"] + ["1"] * 168


def test_an_open_month_holds_what_the_history_has_of_it():
    here = a_quiet_week()

    (month,) = here.rows(bar("1Mutc"), NOON + 1, 0, 10, NOON)

    days = here.rows(bar("1Dutc"), NOON + 1, 0, 10, NOON)
    first = Decimal(here.row(bar("1Dutc"), NOON - 12 * HOUR - HISTORY, NOON)[5])
    assert Decimal(month[5]) == sum(Decimal(day[5]) for day in days) + first
    assert month[8] == "0"


def test_a_day_of_minutes_is_quickly_made():
    here = Candles(market("SHIB-USDT"))

    rows = here.rows(bar("1m"), NOON, 0, 1440, NOON)

    assert len(rows) == 1440
    assert here.last_day(NOON).size > 0
