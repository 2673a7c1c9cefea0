"""JSON that PostgreSQL stores."""

import re

import orjson

from repos.domain import InvalidValue

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def json_text(name: str, value: object) -> str:
    """`value` as JSON that PostgreSQL stores.

    Raises:
        InvalidValue: It holds something that JSON or PostgreSQL has no form for: NaN, a NUL, a lone surrogate,
            an integer beyond 64 bits.
    """
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(name, f"not JSON: {error}") from error
    if _NUL.search(text):
        raise InvalidValue(name, "a NUL character can't be stored")
    if orjson.loads(text) != value:
        raise InvalidValue(name, "it holds something that JSON has no form for, such as NaN or a date")
    return text
