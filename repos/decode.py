"""The exchange's own objects, read into the domain: one reader for arriving and for stored ones."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from repos.domain import END_OF_TIME, EPOCH, InvalidValue, Side, Trade, exact, shown

_SIDES = {side.value: side for side in Side}
_END_MS = (END_OF_TIME - EPOCH) // timedelta(milliseconds=1)
_MAX_ID = 2**63 - 1
_MAX_COUNT = 2**31 - 1


def decode_trade(exchange: str, symbol: str, raw: Mapping[str, Any]) -> Trade:
    """The trade that `raw` describes: an object of OKX's channels trades or trades-all or of its REST trades.

    It names `tradeId` (a whole number below 2**63), `px`, `sz` (at least 0), `side` (the taker's: buy or
    sell), `ts` (milliseconds since 1970) and perhaps `count`, the matches folded in, 1 by default: the trade
    covers the ids tradeId-count+1 to tradeId. Whole numbers are strings of ASCII digits or JSON integers.

    Raises:
        InvalidValue: A field is missing, malformed or out of bounds, or `instId` names another symbol.
    """
    if not isinstance(raw, Mapping):
        raise InvalidValue("raw_data", f"{shown(raw)} is no object")
    named = raw.get("instId", symbol)
    if named != symbol:
        raise InvalidValue("instId", f"{named!r} is not {symbol}")
    try:
        trade_id = whole("tradeId", raw["tradeId"], _MAX_ID)
        moment = milliseconds("ts", raw["ts"])
        price = exact("px", raw["px"])
        size = exact("sz", raw["sz"])
        side = raw["side"]
    except KeyError as error:
        raise InvalidValue(error.args[0], "is missing") from error
    if size < 0:
        raise InvalidValue("sz", f"{size} is negative")
    taker = _SIDES.get(side) if isinstance(side, str) else None
    if taker is None:
        raise InvalidValue("side", f"{side!r} is neither buy nor sell")
    count = whole("count", raw["count"], _MAX_COUNT) if "count" in raw else 1
    if not 1 <= count <= trade_id + 1:
        raise InvalidValue("count", f"{count} is not between 1 and the number of ids up to {trade_id}")
    return Trade(exchange, symbol, trade_id, moment, price, size, taker, count)


def milliseconds(name: str, value: object) -> datetime:
    """The instant `value` milliseconds after 1970 (UTC), given as an int or a string of ASCII digits.

    Raises:
        InvalidValue: It is no whole number, or beyond the year 2261.
    """
    return EPOCH + timedelta(0, 0, 0, whole(name, value, _END_MS - 1))


def whole(name: str, value: object, largest: int) -> int:
    """`value` (an int or a string of ASCII digits) between 0 and `largest`.

    Raises:
        InvalidValue: It is something else, or out of bounds.
    """
    # The longest bound has 19 digits: int() never sees a text long enough to be slow.
    if isinstance(value, str) and len(value) <= 19 and value.isdecimal() and value.isascii():
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise InvalidValue(name, f"{shown(value)} is not a whole number between 0 and {largest}")
    if not 0 <= number <= largest:
        raise InvalidValue(name, f"{number} is not between 0 and {largest}")
    return number
