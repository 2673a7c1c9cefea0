"""The collector's configuration file, okx_config.json: which pairs are followed, and what of them is kept."""

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from repos.domain import DataType, InvalidValue, Series, Timeframe, label

_BARE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NEAR = 0.6


class ConfigError(Exception):
    """The file cannot be used. `mistakes` has a line for each: the file, the place in it and what is wrong."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Pair(NamedTuple):
    """A pair that is followed, with everything settled."""

    symbol: str
    data_types: frozenset[DataType]
    timeframes: tuple[Timeframe, ...]
    """Of the candles that its trades are folded into; none where trades are not followed."""
    store_raw_data: bool
    """Whether data other than trades is stored too."""
    force_update_candles: bool
    """Whether candles folded from trades replace those of another origin."""


def _timeframe(value: object) -> Timeframe:
    if not isinstance(value, str):
        raise InvalidValue("timeframe", f"{_shown(value)} is not a string such as 5s")
    return Timeframe(value)


def _symbol(value: str) -> str:
    return label("symbol", value)


class TradingPair(BaseModel):
    """An entry of trading_pairs. What is None is as at the top of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    symbol: Annotated[str, AfterValidator(_symbol)]
    enabled: bool = True
    data_types: tuple[DataType, ...] = (DataType.TRADE,)
    timeframes: tuple[Annotated[Timeframe, PlainValidator(_timeframe)], ...] = ()
    store_raw_data: bool | None = None
    force_update_candles: bool | None = None

    @field_validator("data_types")
    @classmethod
    def _names_each_type_once(cls, types: tuple[DataType, ...]) -> tuple[DataType, ...]:
        _check_each_once([data_type.value for data_type in types])
        return types

    @field_validator("timeframes")
    @classmethod
    def _names_each_timeframe_once(cls, timeframes: tuple[Timeframe, ...]) -> tuple[Timeframe, ...]:
        _check_each_once(timeframes)
        return timeframes

    @model_validator(mode="after")
    def _has_timeframes_if_it_has_trades(self) -> Self:
        has_trades = DataType.TRADE in self.data_types
        if has_trades and not self.timeframes:
            raise ValueError("timeframes is missing, the lengths of its candles")
        if self.timeframes and not has_trades:
            raise ValueError("timeframes is of no use without trade among data_types")
        return self


class CollectorConfig(BaseModel):
    """The file's content. Nothing in it is unknown, doubled or empty."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    exchange: Literal["okx"] = "okx"
    store_raw_data: bool = False
    force_update_candles: bool = False
    trading_pairs: tuple[TradingPair, ...]

    @field_validator("trading_pairs")
    @classmethod
    def _names_each_symbol_once(cls, pairs: tuple[TradingPair, ...]) -> tuple[TradingPair, ...]:
        _check_each_once([pair.symbol for pair in pairs])
        return pairs

    @model_validator(mode="after")
    def _leaves_each_pair_something_to_store(self) -> Self:
        for place, pair in enumerate(self.trading_pairs):
            stores = self.store_raw_data if pair.store_raw_data is None else pair.store_raw_data
            if not stores and DataType.TRADE not in pair.data_types:
                raise ValueError(
                    f"trading_pairs[{place}] ({pair.symbol}): nothing of it would be stored; "
                    "set store_raw_data to true, or add trade to data_types"
                )
        return self

    def pairs(self) -> list[Pair]:
        """The enabled pairs, in the file's order."""
        return [
            Pair(
                pair.symbol,
                frozenset(pair.data_types),
                pair.timeframes,
                self.store_raw_data if pair.store_raw_data is None else pair.store_raw_data,
                self.force_update_candles if pair.force_update_candles is None else pair.force_update_candles,
            )
            for pair in self.trading_pairs
            if pair.enabled
        ]

    def series(self) -> frozenset[Series]:
        """Every series that the trades of the enabled pairs are folded into."""
        return frozenset(
            Series(self.exchange, pair.symbol, timeframe) for pair in self.pairs() for timeframe in pair.timeframes
        )


def load_config(path: Path) -> CollectorConfig:
    """The configuration in the JSON file `path`.

    Raises:
        ConfigError: It cannot be read, is no JSON or says something that is not understood; with every mistake.
    """
    try:
        return CollectorConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except ValidationError as error:
        raise ConfigError([f"{path}: {_mistake(details)}" for details in error.errors()]) from error


def _check_each_once(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("it is empty")
    for place, name in enumerate(names):
        if (first := names.index(name)) != place:
            raise ValueError(f'"{name}" is given twice, in [{first}] and [{place}]')


def _mistake(details: ErrorDetails) -> str:
    place = "$" + "".join(f"[{step}]" if isinstance(step, int) else _key(step) for step in details["loc"])
    match details["type"]:
        case "json_invalid":
            return str(details["ctx"]["error"])  # says the line and the column
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return f"{place} is not known{_nearest(details['loc'])}"
        case "value_error":
            error = details["ctx"]["error"]
            return f"{place}: {error.problem if isinstance(error, InvalidValue) else error}"
        case _:
            return f"{place}: {_shown(details['input'])}: {details['msg'][0].lower()}{details['msg'][1:]}"


def _key(name: str) -> str:
    """A key behind its object: quoted where it would break the line, or be taken for several."""
    return f".{name}" if _BARE.fullmatch(name) else f"[{_shown(name)}]"


def _nearest(place: tuple[int | str, ...]) -> str:
    """The known key that an unknown one is nearly, in words."""
    fields = CollectorConfig.model_fields if len(place) == 1 else TradingPair.model_fields
    near = get_close_matches(str(place[-1]).lower(), fields, 1, cutoff=_NEAR)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    if not text.isprintable():
        text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


DEFAULT = CollectorConfig(
    trading_pairs=tuple(
        TradingPair(symbol=symbol, timeframes=tuple(map(Timeframe, ("5s", "1m", "5m", "15m", "1h"))))
        for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    )
)
"""What is followed where there is no file."""
