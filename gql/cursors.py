"""Cursors: opaque to clients, for us the key of a row, tagged by kind and bound to what was listed.

A cursor is base64url over MessagePack, which carries instants to the microsecond. One that names rows by numbers of the
database's own names its epoch too, without which they say nothing; those of before there were epochs have none ("").
"""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from repos.domain import InvalidValue, Series
from repos.errors import CursorExpired
from repos.events import Position, TapePosition

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
    epoch: str = ""


class RawTradeCursor(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """A row's place among the raw data of one kind."""

    exchange: str
    symbol: str
    data_type: str
    timestamp: _Instant
    id: _Count
    epoch: str = ""


class TapeCursor(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """A repos.events.TapePosition: how far a symbol's trades were read in the order of writing."""

    exchange: str
    symbol: str
    id: _Count
    epoch: str = ""


class BotCursor(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """A bot's place in the list of bots."""

    id: _Count
    epoch: str = ""


class InstrumentCursor(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """An instrument's place among those of its exchange."""

    exchange: str
    symbol: str


_Cursor = TypeVar("_Cursor", CandleCursor, LiveCursor, RawTradeCursor, TapeCursor, BotCursor, InstrumentCursor)
_Numbered = TypeVar("_Numbered", RawTradeCursor, BotCursor)
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
    return encoded(("l", *position.series, position.revision, position.start, position.newest, position.epoch))


def live_position(name: str, text: str, series: Series) -> Position:
    """Where in `series` the live cursor `text` stands.

    Raises:
        InvalidValue: It is no live cursor, or one of another series.
    """
    cursor = decoded(name, text, LiveCursor, **series._asdict())
    return Position(series, cursor.revision, cursor.start, cursor.newest, cursor.epoch)


def tape_position(name: str, text: str, exchange: str, symbol: str) -> TapePosition:
    """Where in the tape the cursor `text` stands.

    Raises:
        InvalidValue: It is no cursor of a tape, or one of another tape.
    """
    cursor = decoded(name, text, TapeCursor, exchange=exchange, symbol=symbol)
    return TapePosition(cursor.id, cursor.epoch)


def counting(name: str, cursor: _Numbered, epoch: str) -> _Numbered:
    """`cursor`, which is of `epoch`.

    Raises:
        CursorExpired: It is of another one.
    """
    if cursor.epoch != epoch:
        raise CursorExpired(
            f"{name}: is a cursor of another database, or of a state that this one lost: begin with the first page"
        )
    return cursor
