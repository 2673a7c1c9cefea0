"""Each argument of each repository is refused by its name when it is of another type, before the database is asked."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import pytest

from repos.base import BaseRepository
from repos.bot_reader import BotReader
from repos.bots import BotRepository
from repos.candle_reader import AskedPage
from repos.domain import (
    BotStatus,
    Candle,
    DataType,
    Gap,
    Instrument,
    InvalidValue,
    MarketDataPoint,
    Series,
    TradeRecord,
)
from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.events import Position
from repos.feed.news import Tape
from repos.market_data import MarketDataRepository
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON, a_candle, a_record

pytestmark = pytest.mark.anyio

NAIVE = NOON.replace(tzinfo=None)
POINT = MarketDataPoint("okx", "BTC-USDT", NOON, DataType.TICKER, {})
BOT = {"name": "b", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"}

VALID: dict[Any, Any] = {
    int: 1,
    bool: True,
    str: "BTC-USDT",
    datetime: NOON,
    BotStatus: BotStatus.ACTIVE,
    Candle: a_candle(),
    Gap: Gap("okx", "BTC-USDT", 1, 2, NOON, NOON + MINUTE),
    Instrument: Instrument("okx", "BTC-USDT", Decimal("0.1"), Decimal("0.1"), None, "live"),
    MarketDataPoint: POINT,
    Position: Position(BTC_1M, 1, NOON, NOON, "epoch"),
    Series: BTC_1M,
    Tape: Tape("okx", "BTC-USDT"),
    TradeRecord: a_record(),
    AskedPage: AskedPage.of(BTC_1M),
    object: {},
    Any: {},
    Mapping[str, Any]: BOT,
    tuple[str, str]: ("okx", "BTC-USDT"),
    tuple[datetime, int]: (NOON, 1),
}
"""A value of each type that an argument has, or that it holds several of."""
NAMED = {"timeframe": "1m", "changes": {"symbol": "BTC-USDT"}, "role": "viewer", "end": NOON + MINUTE}
FORWARDED = {MarketDataRepository.page: AskedPage.of, BotRepository.page: BotReader.page}
"""Methods with **asked, and what takes it."""
DATABASE_ASKED = "the database is asked"

Method = Callable[..., Awaitable[Any]]


@pytest.fixture
async def closed() -> DatabaseOperations:
    """Operations that can't connect: whatever asks the database raises DatabaseUnavailable."""
    operations = DatabaseOperations("postgresql://nobody@localhost/none")
    await operations.close()
    operations.epoch.current = "epoch"
    return operations


def methods_of(operations: DatabaseOperations) -> Iterator[tuple[str, Method]]:
    """The public methods of all its repositories that take arguments."""
    repositories = {name: each for name, each in vars(operations).items() if isinstance(each, BaseRepository)}
    for name, repository in list(repositories.items()):
        if (stored := getattr(repository, "stored", None)) is not None:
            repositories[f"{name}.stored"] = stored
    assert len(repositories) == 12
    for where, repository in repositories.items():
        for name, method in inspect.getmembers(repository, inspect.ismethod):
            if not name.startswith("_") and inspect.signature(method).parameters:
                yield f"{where}.{name}", method


def hints_of(method: Method) -> dict[str, Any]:
    """The type of each argument, those of `**asked` too."""
    hints = {name: hint for name, hint in get_type_hints(inspect.unwrap(method)).items() if name != "return"}
    if "asked" in hints and inspect.signature(method).parameters["asked"].kind is inspect.Parameter.VAR_KEYWORD:
        del hints["asked"]
        hints |= hints_of(FORWARDED[method.__func__])
    return hints


def kind_of(hint: Any) -> Any:
    """The type itself of an argument that may be None."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if type(None) in get_args(hint) else hint


def valid(name: str, hint: Any) -> Any:
    kind = kind_of(hint)
    if name in NAMED:
        return NAMED[name]
    if kind in VALID:
        return VALID[kind]
    [of] = get_args(kind)
    return [VALID[of]]


def calls_of(method: Method) -> Iterator[dict[str, Any]]:
    """Valid arguments, all that can be given together."""
    hints = hints_of(method)
    given = {name: valid(name, hint) for name, hint in hints.items()}
    if {"first", "last"} <= given.keys():
        yield {name: value for name, value in given.items() if name != "first"}
        yield {name: value for name, value in given.items() if name != "last"}
    else:
        yield given


def wrong_values(hint: Any) -> list[Any]:
    """Values of other types than an argument's."""
    kind = kind_of(hint)
    if kind in (object, Any):
        return []
    wrong = [object()]
    if kind is hint:
        wrong.append(None)
    if kind is datetime:
        wrong += [NAIVE, "2024-01-01T12:00:00Z", 1704110400]
    elif kind is int:
        wrong += ["1", 1.0, True, 2**63, -(2**63) - 1]
    elif kind is str:
        wrong += [1, b"BTC-USDT"]
    elif kind is bool:
        wrong += [1, "false"]
    elif kind is Series:
        wrong += [tuple(BTC_1M), BTC_1M._replace(symbol=1), BTC_1M._replace(timeframe="1m")]
    elif kind is Position:
        wrong += [VALID[Position]._replace(start=NAIVE)]
        wrong += [VALID[Position]._replace(revision=revision) for revision in ("1", 2**63)]
    elif kind == tuple[datetime, int]:
        wrong += [(NAIVE, 1), (NOON, "1"), (NOON, 2**63), (NOON,), NOON]
    elif kind not in VALID:
        [of] = get_args(kind)
        wrong += [[each] for each in wrong_values(of)] + [5, "BTC-USDT"]
    return wrong


async def answer(method: Method, given: Mapping[str, Any]) -> str:
    """The name of the argument that is refused, or what happens instead."""
    try:
        await method(**given)
    except InvalidValue as error:
        return error.name
    except DatabaseUnavailable:
        return DATABASE_ASKED
    except (AttributeError, TypeError, ValueError, DatabaseOperationError) as error:
        return repr(error)
    return "nothing"


async def test_with_right_arguments_the_database_is_asked(closed):
    for where, method in methods_of(closed):
        for given in calls_of(method):
            assert await answer(method, given) == DATABASE_ASKED, where


async def test_a_wrong_argument_is_refused_by_its_name_before_the_database_is_asked(closed):
    missed = []
    count = 0
    for where, method in methods_of(closed):
        hints = hints_of(method)
        for given in calls_of(method):
            for name in given:
                for wrong in wrong_values(hints[name]):
                    count += 1
                    got = await answer(method, given | {name: wrong})
                    if got.split(".")[0] != name:
                        missed.append(f"{where}({name}={wrong!r}): {got}")

    assert count > 300
    assert not missed, f"{len(missed)} of {count}:\n" + "\n".join(missed)


async def test_a_wrong_argument_is_refused_where_it_is_given_by_position(closed):
    with pytest.raises(InvalidValue, match=r"^start_time: 2024-01-01T12:00:00 has no offset from UTC$"):
        await closed.market_data.get_candles("BTC-USDT", "1m", NAIVE, NOON)
    with pytest.raises(InvalidValue, match=r"^bot_id: '1' is not a whole number$"):
        await closed.bots.get_by_id("1")


async def test_a_whole_number_out_of_an_argument_s_own_bounds_is_refused_by_its_name(closed):
    with pytest.raises(InvalidValue, match=r"^limit: -1 is not between 0 and 9223372036854775807$"):
        await closed.raw_trades.get_raw_trades("BTC-USDT", "trade", NOON, NOON + MINUTE, limit=-1)
    with pytest.raises(InvalidValue, match=r"^limit: -1 is not between 0 and "):
        await closed.tape.newest("okx", "BTC-USDT", -1)
    with pytest.raises(InvalidValue, match=r"^expected_version: 2147483648 is not between "):
        await closed.bots.update(1, {"symbol": "BTC-USDT"}, expected_version=2**31)
