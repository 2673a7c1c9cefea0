"""Arguments as resolvers take them: described once, and checked where the repositories don't."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import strawberry
from strawberry import UNSET

from gql.types import EXCHANGE, SYMBOL, TIMEFRAME
from repos.domain import InvalidValue, Timeframe

T = TypeVar("T")
V = TypeVar("V")

_CURSOR = (
    "A row's cursor: only rows {} it. One that names its row by an id (raw data, bots) is CURSOR_EXPIRED in another "
    "database, or after this one was replaced by an older copy: begin with the first page."
)

Exchange = Annotated[str, strawberry.argument(description=EXCHANGE)]
Symbol = Annotated[str, strawberry.argument(description=SYMBOL)]
TimeframeOf = Annotated[Timeframe, strawberry.argument(description=TIMEFRAME)]
Start = Annotated[datetime | None, strawberry.argument(description="Inclusive; without it from the oldest.")]
End = Annotated[datetime | None, strawberry.argument(description="Exclusive; without it up to the newest.")]
First = Annotated[
    int | None,
    strawberry.argument(description="So many from the start of the range, or behind `after`; 0 to 10,000."),
]
Last = Annotated[
    int | None,
    strawberry.argument(description="So many from the end of the range, or ahead of `before`; 0 to 10,000."),
]
After = Annotated[str | None, strawberry.argument(description=_CURSOR.format("behind"))]
Before = Annotated[str | None, strawberry.argument(description=_CURSOR.format("ahead of"))]
BotId = Annotated[strawberry.ID, strawberry.argument(description="The bot's id.")]

_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


def given(value: T | None) -> T | None:
    """`value`, or None when it was left out. Relay sends null for every variable that is not set: it means the same."""
    return None if value is UNSET else value


def given_as(name: str, value: T | None, read: Callable[[str, T], V]) -> V | None:
    """What `read` makes of the name and the value, or None when the argument was left out or null.

    Raises:
        InvalidValue: `read` refuses it.
    """
    present = given(value)
    return None if present is None else read(name, present)


def paging(
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    place: Callable[[str, str], Any],
) -> dict[str, Any]:
    """The four arguments as a repository's page() takes them. `place` reads the cursor of the argument so named.

    Raises:
        InvalidValue: A cursor is none of this list. The repository checks the numbers.
    """
    return {
        "first": given(first),
        "after": given_as("after", after, place),
        "last": given(last),
        "before": given_as("before", before, place),
    }


def bounded(name: str, value: int, most: int, least: int = 0) -> int:
    """`value`.

    Raises:
        InvalidValue: It is not between `least` and `most`.
    """
    if not least <= value <= most:
        raise InvalidValue(name, f"{value} is not between {least} and {most}")
    return value


def row_id(name: str, value: str) -> int:
    """The number that the id stands for.

    Raises:
        InvalidValue: The server never gave such an id.
    """
    if not _ID.fullmatch(value):
        raise InvalidValue(name, f"{value[:40]!r} is not an id that the server gives")
    return int(value)
