import json
from pathlib import Path
from typing import Any

import pytest

from collector.config import CollectorConfig, ConfigError, Pair, TradingPair, load_config
from repos.domain import DataType, Series, Timeframe

COMMITTED = Path(__file__).parent.parent / "okx_config.json"


def a_pair(**changes: Any) -> dict[str, Any]:
    return {"symbol": "BTC-USDT", "timeframes": ["5s", "1m"]} | changes


def written(folder: Path, content: object) -> Path:
    path = folder / "okx_config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def mistakes_of(folder: Path, content: object) -> list[str]:
    path = written(folder, content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    assert all(mistake.startswith(f"{path}: ") for mistake in caught.value.mistakes)
    return [mistake.removeprefix(f"{path}: ") for mistake in caught.value.mistakes]


def test_the_committed_file_follows_btc_in_five_timeframes():
    config = load_config(COMMITTED)

    assert {Series("okx", "BTC-USDT", Timeframe(t)) for t in ("5s", "1m", "5m", "15m", "1h")} <= config.series()


def test_a_pair_is_as_the_file_says_at_its_top_unless_it_says_otherwise(tmp_path):
    path = written(
        tmp_path,
        {
            "exchange": "okx",
            "store_raw_data": True,
            "force_update_candles": True,
            "trading_pairs": [
                a_pair(data_types=["trade", "ticker", "orderbook"]),
                a_pair(symbol="ETH-USDT", timeframes=["60s"], store_raw_data=False, force_update_candles=False),
            ],
        },
    )

    bitcoin, ether = load_config(path).pairs()

    types = frozenset({DataType.TRADE, DataType.TICKER, DataType.ORDERBOOK})
    assert bitcoin == Pair("BTC-USDT", types, (Timeframe("5s"), Timeframe("1m")), True, True)
    assert ether == Pair("ETH-USDT", frozenset({DataType.TRADE}), (Timeframe("1m"),), False, False)


def test_only_trades_of_enabled_pairs_make_series(tmp_path):
    path = written(
        tmp_path,
        {
            "store_raw_data": True,
            "trading_pairs": [
                a_pair(timeframes=["5s"]),
                a_pair(symbol="ETH-USDT", enabled=False),
                {"symbol": "SOL-USDT", "data_types": ["ticker"]},
                {"symbol": "XRP-USDT", "data_types": ["candle", "orderbook"]},
            ],
        },
    )

    config = load_config(path)

    assert config.series() == {Series("okx", "BTC-USDT", Timeframe("5s"))}
    assert [pair.symbol for pair in config.pairs()] == ["BTC-USDT", "SOL-USDT", "XRP-USDT"]


def test_a_configuration_can_be_made_in_code():
    config = CollectorConfig(trading_pairs=(TradingPair(symbol="BTC-USDT", timeframes=(Timeframe("5s"),)),))

    assert config.series() == {Series("okx", "BTC-USDT", Timeframe("5s"))}


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        pytest.param('{"trading_pairs": [}', "expected value at line 1 column 20", id="broken json"),
        pytest.param('{"trading_pairs":\n [1,]}', "trailing comma at line 2 column 5", id="trailing comma"),
        pytest.param("", "EOF while parsing a value at line 1 column 0", id="empty file"),
        pytest.param([], "$: []: input should be an object", id="no object"),
        pytest.param({}, "$.trading_pairs is missing", id="no pairs"),
        pytest.param({"trading_pairs": []}, "$.trading_pairs: it is empty", id="empty pairs"),
        pytest.param({"trading_pairs": {}}, "$.trading_pairs: {}: input should be a valid array", id="pairs no list"),
        pytest.param({"trading_pairs": [a_pair()], "pairs": 1}, "$.pairs is not known", id="unknown key"),
        pytest.param(
            {"trading_pairs": [a_pair()], "exchange": "kraken"},
            "$.exchange: \"kraken\": input should be 'okx'",
            id="another exchange",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(), a_pair(symbol="ETH-USDT"), a_pair()]},
            '$.trading_pairs: "BTC-USDT" is given twice, in [0] and [2]',
            id="a symbol twice",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(time_frames=[])]},
            "$.trading_pairs[0].time_frames is not known; did you mean timeframes?",
            id="typo",
        ),
        pytest.param(
            {"trading_pairs": [{"timeframes": ["1m"]}]}, "$.trading_pairs[0].symbol is missing", id="no symbol"
        ),
        pytest.param(
            {"trading_pairs": [a_pair(symbol="BTC USDT")]},
            "$.trading_pairs[0].symbol: 'BTC USDT' is not 1 to 64 printable characters without spaces",
            id="bad symbol",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(), a_pair(symbol="ETH-USDT", timeframes=["5x"])]},
            "$.trading_pairs[1].timeframes[0]: '5x' is not a count and a unit, such as 5s, 1m, 4h, 1d, 1w or 1M",
            id="bad timeframe",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(timeframes=[5])]},
            "$.trading_pairs[0].timeframes[0]: 5 is not a string such as 5s",
            id="a number as timeframe",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(timeframes=["1m", "60s"])]},
            '$.trading_pairs[0].timeframes: "1m" is given twice, in [0] and [1]',
            id="a timeframe twice, spelt otherwise",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(timeframes=[])]}, "$.trading_pairs[0].timeframes: it is empty", id="no timeframe"
        ),
        pytest.param(
            {"trading_pairs": [{"symbol": "BTC-USDT"}]},
            "$.trading_pairs[0]: timeframes is missing, the lengths of its candles",
            id="timeframes missing",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(data_types=["ticker"])]},
            "$.trading_pairs[0]: timeframes is of no use without trade among data_types",
            id="timeframes of nothing",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(), {"symbol": "ETH-USDT", "data_types": ["ticker"]}]},
            "$: trading_pairs[1] (ETH-USDT): nothing of it would be stored; "
            "set store_raw_data to true, or add trade to data_types",
            id="nothing to store",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(data_types=["trades"])]},
            "$.trading_pairs[0].data_types[0]: \"trades\": input should be 'ticker', 'trade', 'orderbook' or 'candle'",
            id="unknown data type",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(data_types=["trade", "trade"])]},
            '$.trading_pairs[0].data_types: "trade" is given twice, in [0] and [1]',
            id="a data type twice",
        ),
        pytest.param(
            {"trading_pairs": [a_pair(enabled="yes")]},
            '$.trading_pairs[0].enabled: "yes": input should be a valid boolean',
            id="no boolean",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, content, mistake):
    assert mistakes_of(tmp_path, content) == [mistake]


def test_every_mistake_is_named_at_once_and_a_long_value_is_cut(tmp_path):
    content = {"exchange": 1, "trading_pairs": [a_pair(enabled=["yes"] * 30, timeframes=["1y", "2y"])]}

    mistakes = mistakes_of(tmp_path, content)

    assert [mistake.split(": ")[0] for mistake in mistakes] == [
        "$.exchange",
        "$.trading_pairs[0].enabled",
        "$.trading_pairs[0].timeframes[0]",
        "$.trading_pairs[0].timeframes[1]",
    ]
    assert "...: input should be a valid boolean" in mistakes[1]


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    path = tmp_path / "nowhere.json"

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert caught.value.mistakes == [f"{path}: No such file or directory"]
