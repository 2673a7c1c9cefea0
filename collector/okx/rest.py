"""OKX's public REST interface: what the websocket does not tell again, and what the exchange trades."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import httpx2
import msgspec
import stamina
import structlog

from collector.okx.bars import BARS, bar_of
from collector.okx.pace import Limit, turns_of
from collector.okx.protocol import CANDLE_FIELDS, EXCHANGE, read_trade
from repos.decode import milliseconds
from repos.domain import (
    EPOCH,
    EXACT,
    Candle,
    Instrument,
    InvalidValue,
    Origin,
    Timeframe,
    TradeRecord,
    exact,
    label,
    of_type,
)
from repos.proxies import is_loopback, proxy_for

CANDLES, HISTORY_CANDLES = "market/candles", "market/history-candles"
TRADES, HISTORY_TRADES = "market/trades", "market/history-trades"
INSTRUMENTS, TIME = "public/instruments", "public/time"

RATES = {
    CANDLES: Limit(40, 2.0),
    HISTORY_CANDLES: Limit(20, 2.0),
    TRADES: Limit(100, 2.0),
    HISTORY_TRADES: Limit(10, 2.0),  # 20 by the newest documentation, 10 by older
    INSTRUMENTS: Limit(20, 2.0),
    TIME: Limit(10, 2.0),
}
"""Requests in two seconds from one address."""
ATTEMPTS = 5
REPLY_TIMEOUT = 20.0
MAX_REPLY = 16 * 2**20
"""Bytes. The largest reply, all instruments of a type, takes about a million."""
CANDLES_PER_PAGE = 300

_BUSY = frozenset({"50001", "50004", "50011", "50013", "50026"})
"""Unavailable, timed out, too many requests, busy, system error: OKX says of each that later may help."""

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class OKXError(Exception):
    """OKX refused a request, or its answer cannot be read. `code` is OKX's own, empty where it sent none."""

    def __init__(self, code: str, message: str, path: str) -> None:
        super().__init__(f"OKX {path}: {message}" + (f" (code {code})" if code else ""))
        self.code = code
        self.message = message
        self.path = path


class OKXUnavailable(OKXError):
    """OKX could not be reached, was busy or asked for patience, again and again."""


class OKXRest:
    """A client of OKX's public REST interface.

    Requests wait for their place in OKX's rate limits. One that fails for want of OKX (no connection, no reply in
    time, HTTP 429 or 5xx, or a code that asks to come later) is repeated, ATTEMPTS times in all. Rows that cannot
    be read are logged with their text and left out.

    Args:
        base_url: Such as https://www.okx.com.

    Raises:
        InvalidValue: An argument is of another type, or the environment names a proxy that can't be used.
        OKXError: Each method may: OKX refused the request.
        OKXUnavailable: Likewise: it still failed at the last attempt.
    """

    def __init__(self, base_url: str) -> None:
        of_type("base_url", base_url, str)
        self._client = httpx2.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/api/v5/",
            proxy=proxy_for(base_url),
            trust_env=not is_loopback(base_url),  # where it would look for a proxy by itself
            headers={"User-Agent": "candleql"},
            timeout=httpx2.Timeout(REPLY_TIMEOUT, connect=5.0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def newest_trade(self, symbol: str) -> TradeRecord | None:
        """The latest match of an instrument; None where there was none."""
        rows = await self._get(TRADES, {"instId": symbol, "limit": "1"})
        return next(iter(_read_each(TRADES, rows, lambda raw: read_trade(symbol, raw))), None)

    async def history_trades(
        self, symbol: str, after: int | None = None, limit: int = 100, *, before: datetime | None = None
    ) -> list[TradeRecord]:
        """Single matches of the last three months, newest first, 100 at most.

        Args:
            symbol: The instrument.
            after: Only trades with ids below this one; without it the newest.
            limit: 1 to 100.
            before: Instead of `after`: only trades of before this moment, whatever their ids.
        """
        params = {"instId": symbol, "type": "1" if before is None else "2", "limit": str(limit)}
        if before is not None:
            params["after"] = _ceil_ms(before)
        elif after is not None:
            params["after"] = str(after)
        rows = await self._get(HISTORY_TRADES, params)
        return list(_read_each(HISTORY_TRADES, rows, lambda raw: read_trade(symbol, raw)))

    async def candles(
        self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime
    ) -> AsyncGenerator[list[Candle], None]:
        """The exchange's closed candles with start <= start_time < end.

        They come in pages, the newest page first, each oldest first; a page may be empty. Of 1s candles OKX keeps
        three months.

        Raises:
            InvalidValue: OKX has no candles of this timeframe (bar_of).
        """
        bar = bar_of(timeframe)
        if bar is None:
            raise InvalidValue("timeframe", f"OKX has no {timeframe} candles; it has {', '.join(BARS)}")
        before = end
        for path in (CANDLES, HISTORY_CANDLES):  # the first has the newest 1,440, the second not always those
            while start < before:
                params = {"instId": symbol, "bar": bar, "after": _ceil_ms(before), "limit": str(CANDLES_PER_PAGE)}
                rows = await self._get(path, params)
                if not rows:
                    break
                read = list(_read_each(path, rows, lambda raw: _read_candle(symbol, timeframe, raw)))
                oldest = min((moment for moment, _ in read), default=before)
                if oldest >= before:
                    raise OKXError("", f"a page of {symbol} {bar} older than {before} holds none that is", path)
                before = oldest
                yield [candle for moment, candle in reversed(read) if candle and start <= moment < end]

    async def instruments(self, inst_type: str) -> list[Instrument]:
        """What OKX trades of a type: SPOT, SWAP or FUTURES."""
        rows = await self._get(INSTRUMENTS, {"instType": inst_type})
        return list(_read_each(INSTRUMENTS, rows, _read_instrument))

    async def server_time(self) -> datetime:
        """OKX's clock, in UTC, to the millisecond."""
        rows = await self._get(TIME, {})
        try:
            return milliseconds("ts", _decode_time(rows[0]).ts)
        except (IndexError, msgspec.DecodeError, InvalidValue) as error:
            raise OKXError("", f"the reply holds no time: {error}", TIME) from error

    @stamina.retry(on=OKXUnavailable, attempts=ATTEMPTS, timeout=None)
    async def _get(self, path: str, params: dict[str, str]) -> list[msgspec.Raw]:
        async with turns_of(path, RATES[path]):
            status, body = await self._fetch(path, params)
        try:
            reply = _decode_reply(body)
        except (msgspec.DecodeError, RecursionError) as error:
            failure = OKXUnavailable if status == httpx2.codes.OK or _is_temporary(status) else OKXError
            raise failure("", f"HTTP {status} with a reply that is not OKX's JSON: {body[:80]!r}", path) from error
        code, message = str(reply.code), reply.msg or f"HTTP {status}"
        if _is_temporary(status) or code in _BUSY:
            raise OKXUnavailable(code, message, path)
        if status != httpx2.codes.OK or code != "0":
            raise OKXError(code, message, path)
        return reply.data

    async def _fetch(self, path: str, params: dict[str, str]) -> tuple[int, bytes]:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(REPLY_TIMEOUT),
                self._client.stream("GET", path, params=params) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_REPLY:
                        raise OKXError("", f"the reply is longer than {MAX_REPLY} bytes", path)
        except (httpx2.RequestError, TimeoutError) as error:
            raise OKXUnavailable("", f"{type(error).__name__} {error}".strip(), path) from error
        return response.status_code, bytes(body)


class _Reply(msgspec.Struct):
    code: str | int
    msg: str = ""
    data: list[msgspec.Raw] = []


class _Time(msgspec.Struct):
    ts: str


class _Instrument(msgspec.Struct, rename="camel"):
    inst_id: str
    tick_sz: str
    lot_sz: str
    state: str
    ct_val: str = ""
    ct_mult: str = ""
    ct_val_ccy: str = ""


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_time = msgspec.json.Decoder(_Time).decode
_decode_row = msgspec.json.Decoder(list[str]).decode
_decode_instrument = msgspec.json.Decoder(_Instrument).decode


def _is_temporary(status: int) -> bool:
    return status == httpx2.codes.TOO_MANY_REQUESTS or httpx2.codes.is_server_error(status)


def _read_each(path: str, rows: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], _T]) -> Iterable[_T]:
    for raw in rows:
        try:
            yield read(raw)
        except (InvalidValue, msgspec.DecodeError, RecursionError) as error:
            _log.warning("Left out a row that cannot be read", path=path, reason=str(error), row=bytes(raw).decode())


def _read_candle(symbol: str, timeframe: Timeframe, raw: msgspec.Raw) -> tuple[datetime, Candle | None]:
    """A row's time, and its candle if that is closed."""
    row = _decode_row(raw)
    if len(row) < len(CANDLE_FIELDS):
        raise InvalidValue("candle", f"a row has {len(CANDLE_FIELDS)} fields, this one {len(row)}")
    start = milliseconds("ts", row[0])
    if row[8] != "1":
        return start, None
    numbers = [exact(name, text) for name, text in zip(CANDLE_FIELDS[1:6], row[1:6], strict=True)]
    open_, high, low, close, volume = numbers
    end = timeframe.end(start)
    candle = Candle(EXCHANGE, symbol, timeframe, open_, high, low, close, volume, None, start, end, Origin.EXCHANGE)
    return start, candle


def _read_instrument(raw: msgspec.Raw) -> Instrument:
    row = _decode_instrument(raw)
    coin = row.inst_id.partition("-")[0]
    coins = None
    if row.ct_val and row.ct_val_ccy == coin:  # an inverse contract's value is in dollars, not in coins
        coins = EXACT.multiply(exact("ctVal", row.ct_val), exact("ctMult", row.ct_mult or "1"))
    tick, lot = exact("tickSz", row.tick_sz), exact("lotSz", row.lot_sz)
    return Instrument(EXCHANGE, label("instId", row.inst_id), tick, lot, coins, row.state)


def _ceil_ms(moment: datetime) -> str:
    return str(-((EPOCH - moment) // timedelta(milliseconds=1)))
