"""JSON that PostgreSQL stores."""

import re

import orjson

from repos.domain import InvalidValue

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
_EXPONENT = re.compile(r"\de[+]?\d")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def json_text(name: str, value: object) -> str:
    """`value` as JSON that PostgreSQL stores.

    Raises:
        InvalidValue: It holds something that JSON or PostgreSQL has no form for: NaN, a NUL, a lone surrogate,
            a whole number beyond 64 bits, in any notation: jsonb gives 1e22 back as an integer.
    """
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(name, f"not JSON: {error}") from error
    if _NUL.search(text):
        raise InvalidValue(name, "a NUL character can't be stored")
    if orjson.loads(text) != value:
        raise InvalidValue(name, "it holds something that JSON has no form for, such as NaN or a date")
    if _EXPONENT.search(text) and (long := _long_whole(value)) is not None:
        raise InvalidValue(name, f"{long!r} has more than 64 bits as a whole number; write it as a string")
    return text


def _long_whole(value: object) -> float | None:
    """A float within `value` that is a whole number of more than 64 bits."""
    if isinstance(value, float):
        return None if not value.is_integer() or _LOWEST <= value <= _HIGHEST else value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for item in inside if (found := _long_whole(item)) is not None), None)
