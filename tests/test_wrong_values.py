"""Wrong values of settings and of arguments: each is named, and no secret is told."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from inspect import signature
from logging import Logger, getLogger
from typing import Any

import pytest

from candleql.errors import UserError
from candleql.settings import Settings, read_settings
from collector.okx.collector import OKXCollector
from collector.okx.rest import OKXRest
from repos import operations
from repos.domain import Candle, DataType, Gap, Instrument, InvalidValue, MarketDataPoint, Series, Side, Trade
from repos.embedded.server import EmbeddedPostgres
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations, get_database_operations

NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(operations, "_operations", {})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["abc", "-1", "nan", "1,5", "0x10", ""])
def test_a_setting_that_is_no_number_is_told_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name.upper(), value)

    with pytest.raises(UserError, match=f"^{name.upper()}: ") as told:
        read_settings()

    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", [name for name in NUMBERS if Settings.model_fields[name].annotation is float])
@pytest.mark.parametrize("value", ["inf", "1e300", "1e10"])
def test_seconds_that_no_clock_counts_are_told_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name.upper(), value)

    with pytest.raises(UserError, match=f"^{name.upper()}: "):
        read_settings()


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"symbols": "BTC-USDT"}, TypeError, "symbols: 'BTC-USDT' is no list of str"),
        ({"symbols": 5}, TypeError, "symbols: 5 is no list of str"),
        ({"symbols": ["BTC-USDT", None]}, TypeError, r"symbols\[1\]: None is no str"),
        ({"data_types": ["trade"]}, TypeError, r"data_types\[0\]: 'trade' is no DataType"),
        ({"data_types": DataType.TRADE}, TypeError, "data_types: .* is no list of DataType"),
        ({"data_types": [DataType.TICKER]}, InvalidValue, "data_types: nothing would be stored"),
        ({"data_types": []}, InvalidValue, "data_types: nothing would be stored"),
        ({"symbols": ["BTC USDT"]}, InvalidValue, r"symbols\[0\]: 'BTC USDT' is not 1 to 64 printable"),
        ({"timeframes": {"BTC-USDT": "1m"}}, TypeError, r"timeframes\['BTC-USDT'\]: '1m' is no list of str"),
        ({"timeframes": {"BTC-USDT": [60]}}, TypeError, r"timeframes\['BTC-USDT'\]\[0\]: 60 is no str"),
        ({"timeframes": {"BTC-USDT": ["1x"]}}, InvalidValue, r"timeframes\['BTC-USDT'\]\[0\]: '1x' is not a count"),
        ({"timeframes": {"ETH-USDT": ["1m"]}}, InvalidValue, "timeframes: 'ETH-USDT' is none of symbols"),
        ({"timeframes": ["1m"]}, InvalidValue, r"timeframes: \['1m'\] is not a Mapping"),
        ({"rest_url": "www.okx.com"}, InvalidValue, "rest_url: 'www.okx.com' is no URL"),
        ({"ws_url": "https://ws.okx.com"}, InvalidValue, "ws_url: 'https://ws.okx.com' is no URL"),
    ],
)
def test_a_collector_names_the_argument_that_is_wrong(changes, error, told):
    with pytest.raises(error, match=f"^{told}"):
        OKXCollector(**{"symbols": ["BTC-USDT"]} | changes)


NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE = Decimal(1)
OF_OKX = {"exchange": "okx", "symbol": "BTC-USDT"}
MADE: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (
        Candle,
        OF_OKX
        | {"timeframe": "1m", "trade_count": 1, "start_time": NOW, "end_time": NOW + timedelta(minutes=1)}
        | dict.fromkeys(("open", "high", "low", "close", "volume"), ONE),
    ),
    (Trade, OF_OKX | {"trade_id": 1, "timestamp": NOW, "price": ONE, "size": ONE, "side": Side.BUY}),
    (Gap, OF_OKX | {"first_missing_id": 1, "last_missing_id": 2, "after": NOW, "before": NOW}),
    (MarketDataPoint, OF_OKX | {"timestamp": NOW, "data_type": DataType.TRADE, "data": {}}),
    (Instrument, OF_OKX | {"tick_size": ONE, "lot_size": ONE, "contract_value": ONE, "state": "live"}),
    (Series.of, OF_OKX | {"timeframe": "1m"}),
    (DatabaseOperations, {"database": "postgresql://a@b/c"}),
    (EmbeddedPostgres, {"data_dir": "data"}),
    (OKXRest, {"base_url": "http://127.0.0.1"}),
    (Feed, {"db": DatabaseOperations("postgresql://a@b/c")}),
    (get_database_operations, {}),
    (OKXCollector, {"symbols": ["BTC-USDT"]}),
]
RIGHT = {"logger": Logger, "url": Logger, "data": dict}
"""Of the wrong values below those that are right somewhere."""
EVERY = [(make, valid, name) for make, valid in MADE for name in signature(make).parameters]


@pytest.mark.parametrize(("make", "valid"), MADE)
def test_right_arguments_are_taken(make, valid):
    make(**valid)


@pytest.mark.parametrize(
    ("make", "valid", "name"), EVERY, ids=[f"{make.__qualname__}-{name}" for make, _, name in EVERY]
)
@pytest.mark.parametrize("wrong", [object(), b"abc", {1: 2}, getLogger("x")], ids=["object", "bytes", "dict", "logger"])
def test_an_argument_of_another_type_is_named(make, valid, name, wrong):
    if isinstance(wrong, RIGHT.get(name, ())):
        return

    with pytest.raises((InvalidValue, TypeError), match=rf"^{name}(\[\d+\])?: "):
        make(**valid | {name: wrong})


@pytest.mark.parametrize(
    ("make", "valid", "changes"),
    [
        (DatabaseOperations, {"database": "postgresql://a@b/c"}, {"pool_size": 0}),
        (DatabaseOperations, {"database": "postgresql://a@b/c"}, {"pool_size": True}),
        (DatabaseOperations, {"database": "postgresql://a@b/c"}, {"read_timeout": float("nan")}),
        (DatabaseOperations, {}, {"database": 5432}),
        (EmbeddedPostgres, {}, {"data_dir": ""}),
        (EmbeddedPostgres, {}, {"data_dir": "a\0b"}),
        (EmbeddedPostgres, {}, {"data_dir": "~nobody-of-that-name/x"}),
        (EmbeddedPostgres, {"data_dir": "data"}, {"options": "-d"}),
        (get_database_operations, {}, {"data_dir": "~nobody-of-that-name/x"}),
    ],
)
def test_an_argument_out_of_bounds_is_named(make, valid, changes):
    [name] = changes

    with pytest.raises(InvalidValue, match=f"^{name}: "):
        make(**valid | changes)
