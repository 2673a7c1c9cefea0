"""The floor: what this stack does without GraphQL. asyncpg's rows as dicts, through orjson, behind Starlette."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_COLUMNS = 'start_time AS timestamp, open, high, low, close, volume, trade_count AS "tradeCount", origin'
_SERIES = "exchange = 'okx' AND symbol = $1 AND timeframe = '1m'"
_PAGE = (
    f"SELECT {_COLUMNS} FROM market_data WHERE {_SERIES} AND ($2::timestamptz IS NULL OR start_time < $2)"
    " ORDER BY start_time DESC LIMIT $3"
)
_FLOATS = (
    "SELECT extract(epoch FROM start_time)::float8 * 1000 AS time, open::float8, high::float8, low::float8,"
    ' close::float8, volume::float8, trade_count AS "tradeCount" FROM market_data'
    f" WHERE {_SERIES} AND ($2::timestamptz IS NULL OR start_time < $2) ORDER BY start_time DESC LIMIT $3"
)
_LATEST = f"SELECT {_COLUMNS} FROM market_data WHERE {_SERIES} ORDER BY market_data.start_time DESC LIMIT 1"
_BOTS = (
    'SELECT b.id, b.name, b.strategy_name AS "strategyName", b.symbol, b.status,'
    f' b.virtual_balance AS "virtualBalance", newest.* FROM bots AS b LEFT JOIN LATERAL (SELECT {_COLUMNS}'
    " FROM market_data AS m WHERE m.exchange = b.exchange AND m.symbol = b.symbol AND m.timeframe = b.timeframe"
    " ORDER BY m.start_time DESC LIMIT 1) AS newest ON true ORDER BY b.id LIMIT 100"
)
_BOT = 6
"""So many columns are the bot's own."""


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value, default=_text), media_type="application/json")


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError


def floor(pool: asyncpg.Pool) -> Starlette:
    """The application; one route a question."""

    async def page(symbol: str, end: str | None, last: int, query: str = _PAGE) -> list[Any]:
        rows = await pool.fetch(query, symbol, None if end is None else datetime.fromisoformat(end), last)
        rows.reverse()
        return rows  # type: ignore[no-any-return]

    async def candles(request: Request) -> Response:
        asked = request.query_params
        return _json([dict(row) for row in await page(asked["symbol"], asked.get("end"), int(asked["last"]))])

    async def columns(request: Request) -> Response:
        asked = request.query_params
        rows = await page(asked["symbol"], asked.get("end"), int(asked["last"]), _FLOATS)
        return _json(dict(zip(rows[0].keys(), zip(*rows, strict=True), strict=True)))

    async def many(request: Request) -> Response:
        end = request.query_params["end"]
        pages = await asyncio.gather(*(page(symbol, end, 100) for symbol in request.app.state.symbols))
        return _json([[dict(row) for row in rows] for rows in pages])

    async def latest(request: Request) -> Response:
        return _json(dict(await pool.fetchrow(_LATEST, request.query_params["symbol"])))

    async def bots(_: Request) -> Response:
        rows = [list(row.items()) for row in await pool.fetch(_BOTS)]
        return _json([dict(row[:_BOT]) | {"latestCandle": dict(row[_BOT:])} for row in rows])

    routes = [("/candles", candles), ("/columns", columns), ("/many", many), ("/latest", latest), ("/bots", bots)]
    return Starlette(routes=[Route(path, answer) for path, answer in routes])
