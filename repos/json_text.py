"""JSON on its way into PostgreSQL and back: what is taken, and how it is read and written whole."""

import json
import re
from decimal import Decimal
from math import isfinite, isinf
from typing import Any

import orjson

from repos.domain import InvalidValue, shown

DEEPEST = 32
"""Levels of arrays and objects in each other that are taken."""
_READABLE = 128
"""Levels that are read, of a row that somebody else wrote; the JSON writer has 254, some of them around it."""
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_DIGITS = 4_300
"""Python makes no integer of a longer text."""


def check_json(name: str, value: object) -> None:
    """Refuse what PostgreSQL's jsonb, or a JSON reader of somebody else's, can't hold.

    Raises:
        InvalidValue: It holds a NUL, half of a surrogate pair, NaN or an infinity, a whole number of more than 64 bits
            (with a sign) in any notation, or something that JSON has no form for; or it is deeper than DEEPEST levels.
    """
    level: list[object] = [value]
    for _ in range(DEEPEST):
        inside: list[object] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    if not isinstance(key, str):
                        raise InvalidValue(name, f"the key {shown(key)} is not a string")
                inside += item.keys()
                inside += item.values()
            elif isinstance(item, list | tuple):
                inside += item
            else:
                _check_leaf(name, item)
        if not inside:
            return
        level = inside
    raise InvalidValue(name, f"the JSON is nested deeper than {DEEPEST} levels")


def _check_leaf(name: str, item: object) -> None:
    match item:
        case None | bool():
            return
        case str():
            if "\0" in item:
                raise InvalidValue(name, f"{ascii(item)[:80]} holds a NUL character, which can't be stored")
            try:
                item.encode()
            except UnicodeEncodeError as error:
                problem = f"{ascii(item)[:80]} holds half of a surrogate pair, which is no character"
                raise InvalidValue(name, problem) from error
        case int() if not _LOWEST <= item <= _HIGHEST:
            raise InvalidValue(name, "an integer has more than 64 bits; write it as a string")
        case float() if not isfinite(item):
            raise InvalidValue(name, f"{item} is not a number in JSON")
        case float() if item.is_integer() and not _LOWEST <= item <= _HIGHEST:
            # jsonb would print it as an integer of more than 64 bits.
            raise InvalidValue(name, f"{item!r} has more than 64 bits as a whole number; write it as a string")
        case int() | float():
            return
        case _:
            raise InvalidValue(name, f"not JSON: {shown(item)} has no form in it")


def json_text(name: str, value: object) -> str:
    """`value` as JSON that PostgreSQL stores.

    Raises:
        InvalidValue: As check_json.
    """
    check_json(name, value)
    return orjson.dumps(value).decode()


def exchange_text(name: str, value: object) -> str:
    """As `json_text`, for what an exchange sent as JSON: its integers may have any length.

    Raises:
        InvalidValue: It holds a NUL.
    """
    text = written(value).decode()
    if _NUL.search(text):
        raise InvalidValue(name, "a NUL character can't be stored")
    return text


def read_json(text: str) -> Any:
    """The value of a JSON text that PostgreSQL gave, which `written` gives back whole.

    A number that neither int nor float holds is a Decimal: an integer of more than 4,300 digits, or one beyond 1e308.
    What is nested too deeply to be read is the text itself.
    """
    try:
        value = _read(text)
    except RecursionError:
        return text
    return text if is_deeper(value, text, _READABLE) else value


def is_deeper(value: object, text: str, levels: int) -> bool:
    """Whether `value`, which was read from `text`, has more levels of arrays and objects in each other."""
    if text.count("[") + text.count("{") <= levels:
        return False
    level: list[Any] = [value]
    for _ in range(levels):
        inside = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = [inner for inner in inside if isinstance(inner, dict | list)]
    return bool(level)


def written(value: object) -> bytes:
    """`value` as JSON, with numbers of any length: an exchange may send them, and they are stored whole."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, or a Decimal
        return orjson.dumps(_with_digits(value))


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < _DIGITS else Decimal(text)


def _float(text: str) -> float | Decimal:
    number = float(text)
    return Decimal(text) if isinf(number) else number


_read = json.JSONDecoder(parse_int=_integer, parse_float=_float).decode


def _with_digits(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_digits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_digits(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(format(Decimal(value), "f"))
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    return value
