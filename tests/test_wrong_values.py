"""Wrong values of settings and of arguments: each is named, and no secret is told."""

import pytest

from candleql.errors import UserError
from candleql.settings import Settings, read_settings
from collector.okx.collector import OKXCollector
from repos.domain import DataType, InvalidValue

NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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
    ],
)
def test_a_collector_names_the_argument_that_is_wrong(changes, error, told):
    with pytest.raises(error, match=f"^{told}"):
        OKXCollector(**{"symbols": ["BTC-USDT"]} | changes)
