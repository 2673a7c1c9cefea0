"""OKX's v5 websocket protocol, frame by frame and without I/O: text in, events out, and requests as text.

Nothing here raises on what the exchange sends, and nothing of it is lost: what cannot be read comes out as
Malformed, with its text. Milliseconds and the exchange's field names end here and in repos.decode.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from repos.decode import decode_trade, milliseconds
from repos.domain import DataType, InvalidValue, MarketDataPoint, TradeRecord, label
from repos.json_text import DEEPEST, is_deeper

EXCHANGE = "okx"
PING = "ping"
Op = Literal["subscribe", "unsubscribe"]
ARGS_PER_REQUEST = 100
"""A request's args may take 64 KB; a hundred of the longest labels take 55."""
CANDLE_FIELDS = ("ts", "o", "h", "l", "c", "vol", "volCcy", "volCcyQuote", "confirm")
"""What a candle's row holds, in order. Rows from before 2023 end after volCcy."""


class Arg(NamedTuple):
    """What a subscription is for: a channel of an instrument."""

    channel: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.channel} {self.symbol}"


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """An arg was accepted. `conn_id` is the exchange's name of the connection; frames before 2023 lack it."""

    arg: Arg
    conn_id: str


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    arg: Arg
    conn_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A request failed. For which arg, a frame says in its message, if at all; `request_id` is the request's."""

    code: str
    message: str
    arg: Arg | None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """The exchange announces something: 64008 that it closes the connection in about a minute."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of the channels trades and trades-all, in the order of the frame; at least one."""

    arg: Arg
    records: list[TradeRecord]


@dataclass(frozen=True, slots=True)
class Points:
    """Tickers, order books and candles; at least one.

    `data` of a point is the exchange's object after what only the envelope says: `channel`, and for books
    `action` (snapshot or update). A candle's row is named by CANDLE_FIELDS; its timestamp is its opening.
    """

    arg: Arg
    points: list[MarketDataPoint]


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event or a channel that is none of ours; `name` is the exchange's."""

    name: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame, or an object in it, that cannot be read; `text` is the whole of it."""

    reason: str
    text: str


Event = Pong | Subscribed | Unsubscribed | Refused | Notice | Trades | Points | Ignored | Malformed


class _Arg(msgspec.Struct):
    channel: str
    instId: str = ""  # noqa: N815 -- the exchange's name


class _Frame(msgspec.Struct):
    event: str | None = None
    arg: _Arg | None = None
    data: list[msgspec.Raw] | None = None
    action: str | None = None
    code: str | int = ""
    msg: str = ""
    connId: str = ""  # noqa: N815 -- the exchange's name
    id: str | None = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_row = msgspec.json.Decoder(list[str]).decode
_UNREADABLE = (InvalidValue, msgspec.DecodeError, UnicodeError, RecursionError)
_NAMED = re.compile(r"channel:\s*([\w-]+),\s*instId:\s*([\w-]+)", re.ASCII)


def parse_frame(text: str) -> list[Event]:
    """What one text frame of the exchange says. A bad object in its data leaves the good ones standing."""
    if text == "pong":
        return [Pong()]
    try:
        frame = _decode_frame(text)
        if frame.event is not None:
            return [_parse_event(frame.event, frame)]
        if frame.arg is None or frame.data is None:
            return [Malformed("it is neither an event nor data of a channel", text)]
        data_type = _data_type(frame.arg.channel)
        if data_type is None:
            return [Ignored(frame.arg.channel)]
        arg = Arg(frame.arg.channel, label("instId", frame.arg.instId))
    except _UNREADABLE as error:
        return [Malformed(str(error), text)]
    if data_type is DataType.TRADE:
        records, bad = _read_each(frame.data, lambda raw: read_trade(arg.symbol, raw))
        return [Trades(arg, records), *bad] if records else bad
    action = frame.action
    points, bad = _read_each(frame.data, lambda raw: _read_point(arg, data_type, action, raw))
    return [Points(arg, points), *bad] if points else bad


def read_trade(symbol: str, raw: msgspec.Raw) -> TradeRecord:
    """One trade object of `symbol`, with its own text.

    Raises:
        InvalidValue: A field is missing, malformed or out of bounds, or the text cannot be stored.
        msgspec.DecodeError: It is no JSON object.
    """
    text = _storable(raw)
    return TradeRecord(decode_trade(EXCHANGE, symbol, _object(text)), text)


def request(op: Op, args: Sequence[Arg], request_id: str) -> str:
    """The frame that asks for `args`, at most ARGS_PER_REQUEST.

    Every answer to it echoes `request_id`, which is 1 to 32 letters and digits.
    """
    wanted = [{"channel": arg.channel, "instId": arg.symbol} for arg in args]
    return msgspec.json.encode({"id": request_id, "op": op, "args": wanted}).decode()


def _parse_event(name: str, frame: _Frame) -> Event:
    code = str(frame.code)
    match name:
        case "subscribe" | "unsubscribe" if frame.arg is not None:
            kind = Subscribed if name == "subscribe" else Unsubscribed
            return kind(Arg(frame.arg.channel, frame.arg.instId), frame.connId)
        case "error":
            named = _NAMED.search(frame.msg)
            return Refused(code, frame.msg, Arg(named[1], named[2]) if named else None, frame.id)
        case "notice":
            return Notice(code, frame.msg)
        case _:
            return Ignored(name)


def _data_type(channel: str) -> DataType | None:
    if channel in ("trades-all", "trades"):
        return DataType.TRADE
    if channel == "tickers":
        return DataType.TICKER
    if channel.startswith("books") or channel == "bbo-tbt":
        return DataType.ORDERBOOK
    if channel.startswith("candle"):
        return DataType.CANDLE
    return None


_T = TypeVar("_T")


def _read_each(data: list[msgspec.Raw], read: Callable[[msgspec.Raw], _T]) -> tuple[list[_T], list[Event]]:
    good: list[_T] = []
    bad: list[Event] = []
    for raw in data:
        try:
            good.append(read(raw))
        except _UNREADABLE as error:
            bad.append(Malformed(str(error), bytes(raw).decode()))
    return good, bad


def _read_point(arg: Arg, data_type: DataType, action: str | None, raw: msgspec.Raw) -> MarketDataPoint:
    text = _storable(raw)
    envelope = {"channel": arg.channel} if action is None else {"channel": arg.channel, "action": action}
    fields: dict[str, Any]
    if data_type is DataType.CANDLE:
        row = _decode_row(text)
        if not 7 <= len(row) <= len(CANDLE_FIELDS):
            raise InvalidValue("candle", f"a row has 7 to {len(CANDLE_FIELDS)} fields, this one {len(row)}")
        fields = dict(zip(CANDLE_FIELDS, row, strict=False))
    else:
        fields = _object(text)
    moment = milliseconds("ts", fields.get("ts"))
    return MarketDataPoint(EXCHANGE, arg.symbol, moment, data_type, envelope | fields)


def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = _decode_object(text)
    if is_deeper(found, text, DEEPEST):
        raise InvalidValue("data", f"it is nested deeper than {DEEPEST} levels")
    return found


def _storable(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    if "\\u0000" in text:
        # It would fail the whole batch that is written with it.
        raise InvalidValue("data", "it holds \\u0000, which PostgreSQL's jsonb cannot hold")
    return text
