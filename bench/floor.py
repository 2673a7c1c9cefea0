"""The floor: the best that was found by hand without GraphQL, on the same driver and server.

asyncpg's connections, the one used last first, with every statement prepared once on each; numbers stay text; a page is
one row of an array and a text, which is read faster than a thousand rows; no framework, no dict of a candle and no call
for a number. Of what was tried, the fastest stays (docs/performance.md).
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import msgspec
import orjson

from bench.database import SYMBOLS
from repos.domain import Origin

_SERIES = "exchange = 'okx' AND symbol = $1 AND timeframe = '1m'"
_PAST = "AND start_time < $3"
_VALUES = "concat_ws(',', open, high, low, close, volume, coalesce(trade_count::text, 'null'), origin)"
"""One text is read faster than seven columns."""
_JSON = (
    """concat('"open":"', open, '","high":"', high, '","low":"', low, '","close":"', close, '","volume":"', volume,"""
    """ '","tradeCount":', coalesce(trade_count::text, 'null'), ',"origin":"', upper(origin), '"}')"""
)
"""A candle without its start, as PostgreSQL writes it: that is faster for long pages."""
_LONG = 5_000


def _newest(columns: str, series: str, past: str, limit: str) -> str:
    return f"SELECT {columns} FROM market_data WHERE {series} {past} ORDER BY start_time DESC LIMIT {limit}"


def _page(past: str, text: str) -> str:
    rows = _newest(f"start_time, {text} AS text", _SERIES, past, "$2")
    return f"SELECT array_agg(start_time), string_agg(text, E'\\n') FROM ({rows}) AS page"


def _pages(past: str) -> str:
    of_each = "exchange = 'okx' AND symbol = asked.symbol AND timeframe = '1m'"
    rows = _newest(f"start_time, {_VALUES} AS text", of_each, past, "$2")
    page = f"SELECT array_agg(start_time), string_agg(text, E'\\n') FROM ({rows}) AS page"
    asked = "unnest($1::text[]) WITH ORDINALITY AS asked (symbol, place)"
    return f"SELECT pages.* FROM {asked}, LATERAL ({page}) AS pages ORDER BY place"


_NUMBERS = _newest(
    "start_time, concat_ws(',', open, high, low, close, volume) AS numbers, trade_count", _SERIES, _PAST, "$2"
)
_COLUMNS = f"SELECT array_agg(start_time), string_agg(numbers, ','), array_agg(trade_count) FROM ({_NUMBERS}) AS page"
_LATEST = _newest(f"start_time, {_VALUES}", _SERIES, "", "1")
_BOTS = (
    "SELECT id, name, strategy_name, status, virtual_balance, exchange, symbol, timeframe"
    " FROM bots ORDER BY id LIMIT 100"
)
_OF_KEY = "exchange = key.e AND symbol = key.s AND timeframe = key.t"
_OF_BOTS = (
    "SELECT newest.* FROM unnest($1::text[], $2::text[], $3::text[]) AS key (e, s, t),"
    f" LATERAL ({_newest(f'exchange, symbol, timeframe, start_time, {_VALUES}', _OF_KEY, '', '1')}) AS newest"
)

_ORIGINS = {origin.value: origin.name for origin in Origin}
_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_MS_TO_1970 = _ZERO.timestamp() * 1000
_numbers = msgspec.json.Decoder(list[float]).decode
_START = {"type": "http.response.start", "status": 200}
_TYPE = (b"content-type", b"application/json")
Asked = dict[str, str]


class _Connections:
    """As many as are asked at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: list[tuple[Any, dict[str, Any]]] = []

    async def fetch(self, text: str, *arguments: Any) -> list[Any]:
        connection, prepared = self._free.pop() if self._free else (await self._opened(), {})
        statement = prepared.get(text)
        if statement is None:
            statement = prepared[text] = await connection.prepare(text)
        rows: list[Any] = await statement.fetch(*arguments)
        self._free.append((connection, prepared))
        return rows

    async def _opened(self) -> Any:
        connection = await asyncpg.connect(self._url)
        where = {"schema": "pg_catalog"}
        await connection.set_builtin_type_codec("numeric", **where, codec_name="text", format="text")
        await connection.set_builtin_type_codec("timestamptz", **where, codec_name="int8", format="binary")
        return connection


def floor(url: str) -> Callable[..., Awaitable[None]]:
    """The application, an ASGI callable; a path a question."""
    fetch = _Connections(url).fetch

    async def candles(asked: Asked) -> bytes:
        past, bound = _bound(asked)
        last = int(asked["last"])
        is_long = last >= _LONG
        [(starts, texts)] = await fetch(_page(past, _JSON if is_long else _VALUES), asked["symbol"], last, *bound)
        return _array((_begun if is_long else _candles)(starts, texts.split("\n"))).encode()

    async def many(asked: Asked) -> bytes:
        past, bound = _bound(asked)
        pages = await fetch(_pages(past), SYMBOLS, 100, *bound)
        return _array([_array(_candles(starts, texts.split("\n"))) for starts, texts in pages]).encode()

    async def columns(asked: Asked) -> bytes:
        _, bound = _bound(asked)
        [(starts, text, counts)] = await fetch(_COLUMNS, asked["symbol"], int(asked["last"]), *bound)
        numbers = _numbers(f"[{text}]")
        names = ("open", "high", "low", "close", "volume")
        lists = {name: numbers[place::5][::-1] for place, name in enumerate(names)}
        time = [start / 1000 + _MS_TO_1970 for start in starts[::-1]]
        return orjson.dumps({"time": time, **lists, "tradeCount": counts[::-1]})

    async def latest(asked: Asked) -> bytes:
        [(start, text)] = await fetch(_LATEST, asked["symbol"])
        return _candles([start], [text])[0].encode()

    async def bots(_: Asked) -> bytes:
        rows = await fetch(_BOTS)
        keys = list(dict.fromkeys([(exchange, symbol, timeframe) for *_, exchange, symbol, timeframe in rows]))
        found = await fetch(_OF_BOTS, *zip(*keys, strict=True))
        newest = {tuple(key): orjson.Fragment(_candles([start], [text])[0]) for *key, start, text in found}
        made = [
            {
                "id": str(number),
                "name": name,
                "strategyName": strategy,
                "symbol": symbol,
                "status": status.upper(),
                "virtualBalance": balance,
                "latestCandle": newest.get((exchange, symbol, timeframe)),
            }
            for number, name, strategy, status, balance, exchange, symbol, timeframe in rows
        ]
        return orjson.dumps(made)

    paths = {"/candles": candles, "/many": many, "/columns": columns, "/latest": latest, "/bots": bots}

    async def answer(scope: Any, _: Any, send: Any) -> None:
        body = await paths[scope["path"]](dict(parse_qsl(scope["query_string"].decode())))
        await send({**_START, "headers": [_TYPE, (b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return answer


def _bound(asked: Asked) -> tuple[str, tuple[int, ...]]:
    """The condition for where a page ends, and its value."""
    end = asked.get("end")
    if end is None:
        return "", ()
    return _PAST, ((datetime.fromisoformat(end) - _ZERO) // timedelta(microseconds=1),)


def _candles(starts: list[int], texts: Iterable[str]) -> list[str]:
    made = [
        f'{{"timestamp":"{_instant(start)}","open":"{open_}","high":"{high}","low":"{low}","close":"{close}",'
        f'"volume":"{volume}","tradeCount":{count},"origin":"{_ORIGINS[origin]}"}}'
        for start, text in zip(starts, texts, strict=True)
        for open_, high, low, close, volume, count, origin in (text.split(","),)
    ]
    made.reverse()
    return made


def _begun(starts: list[int], texts: Iterable[str]) -> list[str]:
    """Candles that PostgreSQL wrote, with their starts."""
    made = [f'{{"timestamp":"{_instant(start)}",{text}' for start, text in zip(starts, texts, strict=True)]
    made.reverse()
    return made


@lru_cache(maxsize=65_536)
def _instant(micros: int) -> str:
    return (_ZERO + timedelta(microseconds=micros)).isoformat(timespec="milliseconds")[:-6] + "Z"


def _array(texts: Iterable[str]) -> str:
    return f"[{','.join(texts)}]"
