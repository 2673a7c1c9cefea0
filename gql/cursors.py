"""Cursors: opaque to clients, for us the key of a row, tagged by kind and bound to what was listed.

A cursor is base64url over MessagePack, which carries instants to the microsecond.
"""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from repos.domain import InvalidValue, Series
from repos.events import Position

_LONGEST = 1_024
"""Characters of a cursor; the longest names make some 400."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class CandleCursor(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """A candle's place in its series."""

    exchange: str
    symbol: str
    timeframe: str
    start: _Instant


class LiveCursor(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """A repos.events.Position: how far a series was read in the order of writing."""

    exchange: str
    symbol: str
    timeframe: str
    revision: _Count
    start: _Instant | None
    newest: _Instant | None


class RawTradeCursor(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """A row's place among the raw data of one kind."""

    exchange: str
    symbol: str
    data_type: str
    timestamp: _Instant
    id: _Count


class TapeCursor(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """How far a symbol's trades were read in the order of writing."""

    exchange: str
    symbol: str
    id: _Count


class BotCursor(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """A bot's place in the list of bots."""

    id: _Count


class InstrumentCursor(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """An instrument's place among those of its exchange."""

    exchange: str
    symbol: str


_Cursor = TypeVar("_Cursor", CandleCursor, LiveCursor, RawTradeCursor, TapeCursor, BotCursor, InstrumentCursor)
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode  # a Timeframe is a string, which msgspec does not see


def encoded(cursor: msgspec.Struct | tuple[object, ...]) -> str:
    return urlsafe_b64encode(_encode(cursor)).rstrip(b"=").decode()


def decoded(name: str, text: str, kind: type[_Cursor], **scope: str) -> _Cursor:
    """The cursor that `text` stands for; its fields must equal `scope`.

    Raises:
        InvalidValue: It is none, one of another kind, or one of another list. It carries `name`.
    """
    if len(text) > _LONGEST:
        raise InvalidValue(name, "is no cursor that belongs here")
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=kind)
    except (NotBase64, ValueError, msgspec.MsgspecError) as error:
        raise InvalidValue(name, "is no cursor that belongs here") from error
    for field, value in scope.items():
        if getattr(cursor, field) != value:
            raise InvalidValue(
                name, f"is a cursor of {field.replace('_', ' ')} {getattr(cursor, field)!r}, not {value!r}"
            )
    return cursor


def live_cursor(position: Position) -> str:
    # The array that a LiveCursor is: every event has a cursor, and none needs the object.
    return encoded(("l", *position.series, position.revision, position.start, position.newest))


def live_position(name: str, text: str, series: Series) -> Position:
    """Where in `series` the live cursor `text` stands.

    Raises:
        InvalidValue: It is no live cursor, or one of another series.
    """
    cursor = decoded(name, text, LiveCursor, **series._asdict())
    return Position(series, cursor.revision, cursor.start, cursor.newest)
