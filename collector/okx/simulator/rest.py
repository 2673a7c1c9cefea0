"""The REST side, /api/v5: {"code":"0","msg":"","data":[...]}, newest first."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector.okx.simulator.bars import Bar, bar
from collector.okx.simulator.books import book, snapshot
from collector.okx.simulator.candles import HISTORY, Candles
from collector.okx.simulator.faults import SharedFaults
from collector.okx.simulator.instruments import LISTED
from collector.okx.simulator.limits import Window
from collector.okx.simulator.market import Match
from collector.okx.simulator.rows import single, ticker

_FAR = 1 << 62
_NEWEST_BARS = 1_440
_TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")
Data = list[Any]


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Rest:
    """The endpoints of one exchange. `clock` is the market's; the rate limits go by the machine's."""

    def __init__(self, markets: dict[str, Candles], clock: Callable[[], int], faults: SharedFaults) -> None:
        self._markets = markets
        self._clock = clock
        self._faults = faults
        self._windows: dict[tuple[str, ...], Window] = {}
        limited = {  # requests in 2 s
            "market/candles": (40, self._candles),
            "market/history-candles": (20, self._history_candles),
            "market/trades": (100, self._trades),
            "market/history-trades": (20, self._history_trades),
            "market/ticker": (20, self._ticker),
            "market/tickers": (20, self._tickers),
            "market/books": (40, self._books),
            "public/instruments": (20, self._instruments),
            "public/time": (10, self._time),
        }
        self.app = Starlette(
            routes=[
                *(Route(f"/api/v5/{path}", self._served(*entry)) for path, entry in limited.items()),
                Route("/{path:path}", self._elsewhere),
            ]
        )

    def _served(self, limit: int, answer: Callable[[Request], Data]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            fault = self._faults.for_path(request.url.path)
            if fault and fault.delay:
                await asyncio.sleep(fault.delay)
            if fault and (fault.code or fault.status != 200):
                return _response(fault.status, fault.code, fault.message, [])
            try:
                self._admit(request, limit)
                # A first look at days of history takes a while, which must not hold the pushes up.
                response = _response(200, "0", "", await asyncio.to_thread(answer, request))
            except Refusal as refusal:
                response = _response(refusal.status, refusal.code, str(refusal), [])
            if fault and fault.truncated:
                return Response(bytes(response.body)[: len(response.body) // 2], media_type="application/json")
            return response

        return serve

    def _admit(self, request: Request, limit: int) -> None:
        """By IP and path, and for the instruments by their type too."""
        path = request.url.path
        ip = request.client.host if request.client else ""
        kind = request.query_params.get("instType", "") if path.endswith("instruments") else ""
        window = self._windows.setdefault((ip, path, kind), Window(limit, 2.0))
        if not window.admit(time.monotonic()):
            raise Refusal("50011", "Too Many Requests", 429)

    def _candles(self, request: Request) -> Data:
        length, now = _bar(request), self._clock()
        oldest = length.floor(now)
        if length.length:
            oldest -= (_NEWEST_BARS - 1) * length.length
        after, before, limit = _page(request, 300)
        return self._market(request).rows(length, after, max(before, oldest - 1), limit, now)

    def _history_candles(self, request: Request) -> Data:
        length, now = _bar(request), self._clock()
        after, before, limit = _page(request, 300)
        # History is what has closed.
        return self._market(request).rows(length, min(after, length.floor(now)), before, limit, now)

    def _trades(self, request: Request) -> Data:
        candles, now = self._market(request), self._clock()
        last = candles.market.last_id(now)
        limit = _number(request, "limit", 100, 1, 500)
        return _newest_first(candles, candles.market.read(last - limit + 1, last))

    def _history_trades(self, request: Request) -> Data:
        candles, now = self._market(request), self._clock()
        market = candles.market
        kind = request.query_params.get("type") or "1"
        after, before, limit = _page(request, 100)
        oldest, newest = market.last_id(now - HISTORY) + 1, market.last_id(now)
        if kind == "1":
            last, first = min(newest, after - 1), max(oldest, before + 1)
        elif kind == "2":
            last, first = min(newest, market.last_id(min(after - 1, now))), oldest
        else:
            raise Refusal("51000", "Parameter type error", 400)
        return _newest_first(candles, market.read(max(first, last - limit + 1), last))

    def _ticker(self, request: Request) -> Data:
        return [ticker(self._market(request), self._clock())]

    def _tickers(self, request: Request) -> Data:
        kind, now = _type(request), self._clock()
        return [ticker(c, now) for c in self._markets.values() if c.market.spec.inst_type == kind]

    def _books(self, request: Request) -> Data:
        candles, now = self._market(request), self._clock()
        depth = _number(request, "sz", 1, 1, 400)
        return [snapshot(candles.market, book(candles.market, now, depth), now)]

    def _instruments(self, request: Request) -> Data:
        kind, inst_id = _type(request), request.query_params.get("instId")
        specs = [candles.market.spec for candles in self._markets.values()]
        found = [spec.describe() for spec in specs if spec.inst_type == kind and inst_id in (None, "", spec.inst_id)]
        if inst_id and not found:
            raise Refusal("51001", "Instrument ID does not exist")
        return found

    def _time(self, _: Request) -> Data:
        return [{"ts": str(self._clock())}]

    async def _elsewhere(self, request: Request) -> Response:
        if request.path_params["path"].startswith(("api/v5/account", "api/v5/asset", "api/v5/trade")):
            return _response(401, "50103", "Request header OK-ACCESS-KEY can not be empty.", [])
        return _response(404, "404", "Request URI does not exist", [])

    def _market(self, request: Request) -> Candles:
        inst_id = request.query_params.get("instId")
        if not inst_id:
            raise Refusal("50014", "Parameter instId can not be empty.", 400)
        if inst_id not in self._markets:
            raise Refusal("51001", "Instrument ID does not exist")
        return self._markets[inst_id]


def _newest_first(candles: Candles, matches: list[Match]) -> Data:
    spec = candles.market.spec
    return [single(spec, match) for match in reversed(matches) if match.time >= LISTED]


def _bar(request: Request) -> Bar:
    found = bar(request.query_params.get("bar") or "1m")
    if found is None:
        raise Refusal("51000", "Parameter bar error", 400)
    return found


def _type(request: Request) -> str:
    kind = request.query_params.get("instType")
    if not kind:
        raise Refusal("50014", "Parameter instType can not be empty.", 400)
    if kind not in _TYPES:
        raise Refusal("51000", "Parameter instType error", 400)
    return kind


def _page(request: Request, most: int) -> tuple[int, int, int]:
    """`after` (only what is older), `before` (only what is newer) and the limit."""
    return (
        _number(request, "after", _FAR, 0, _FAR),
        _number(request, "before", -1, 0, _FAR),
        _number(request, "limit", 100, 1, most),
    )


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) < least:
        raise Refusal("51000", f"Parameter {name} error", 400)
    return min(int(text), most)


def _response(status: int, code: str, message: str, data: Data) -> Response:
    body: dict[str, Any] = {"code": code, "msg": message, "data": data}
    if code == "50011":
        del body["data"]
    return Response(orjson.dumps(body), status, media_type="application/json")
