"""What is asked: each question as GraphQL for ours and the plain server, and as a path of the floor."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from bench.database import BOTS, SYMBOLS

FIELDS = "timestamp open high low close volume tradeCount origin"
_PAGE = (
    "query Page($symbol: String!, $end: DateTime, $last: Int!) {"
    f' candles(symbol: $symbol, timeframe: "1m", end: $end, last: $last) {{ nodes {{ {FIELDS} }} }} }}'
)
_LATEST = f'query Latest($symbol: String!) {{ latestCandle(symbol: $symbol, timeframe: "1m") {{ {FIELDS} }} }}'
_COLUMNS = (
    "query Columns($symbol: String!, $end: DateTime, $last: Int!) {"
    ' candleSeries(symbol: $symbol, timeframe: "1m", end: $end, last: $last)'
    " { time open high low close volume tradeCount } }"
)
_MANY = (
    "query Many($end: DateTime) {"
    + " ".join(
        f's{i}: candles(symbol: "{symbol}", timeframe: "1m", end: $end, last: 100) {{ nodes {{ {FIELDS} }} }}'
        for i, symbol in enumerate(SYMBOLS)
    )
    + "}"
)
_ALL_BOTS = (
    f"query Bots {{ bots(first: {BOTS})"
    f" {{ nodes {{ id name strategyName symbol status virtualBalance latestCandle {{ {FIELDS} }} }} }} }}"
)


def asked_of(query: str, variables: Iterable[dict[str, Any]]) -> list[bytes]:
    """The HTTP requests for a GraphQL server, one for each set of variables."""
    made = []
    for given in variables:
        body = orjson.dumps({"query": query, "variables": given})
        head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        made.append(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
    return made


@dataclass(frozen=True)
class Question:
    """`target` is what our answers a second are to be, in those of the floor: what was reached less a tenth, so that a
    fall shows."""

    name: str
    target: float
    query: str
    variables: list[dict[str, Any]]
    """One request each; they take turns."""
    path: str
    """Of the floor, which takes the variables as parameters."""
    is_hot: bool = False
    """It is asked when our server has the newest candles of all series in memory; the floor asks the database."""

    def asked(self) -> list[bytes]:
        """The HTTP requests for a GraphQL server."""
        return asked_of(self.query, self.variables)

    def of_floor(self) -> list[bytes]:
        """The same for the floor."""
        return [
            f"GET {self.path}?{urlencode(variables, quote_via=quote)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            for variables in self.variables
        ]


def questions(past: datetime) -> list[Question]:
    """All of them. What is to come from the database ends at `past`, behind what a server may keep in memory."""
    end = past.isoformat().replace("+00:00", "Z")

    def pages(last: int) -> list[dict[str, Any]]:
        return [{"symbol": symbol, "end": end, "last": last} for symbol in SYMBOLS]

    each = [{"symbol": symbol} for symbol in SYMBOLS]
    return [
        Question("1,000 candles, 8 fields", 0.65, _PAGE, pages(1_000), "/candles"),
        Question("latestCandle", 0.45, _LATEST, each, "/latest"),
        Question("20 aliased series of 100", 0.55, _MANY, [{"end": end}], "/many"),
        Question("10,000 candles", 0.7, _PAGE, pages(10_000), "/candles"),
        Question("candleSeries, 1,000", 0.8, _COLUMNS, pages(1_000), "/columns"),
        Question("candleSeries, 10,000", 0.8, _COLUMNS, pages(10_000), "/columns"),
        Question("100 bots with latestCandle", 0.28, _ALL_BOTS, [{}], "/bots"),
        Question("hot: newest 500", 3.0, _PAGE, [asked | {"last": 500} for asked in each], "/candles", True),
        Question("hot: latestCandle", 0.6, _LATEST, each, "/latest", True),
        Question("hot: 20 aliased series of 100", 2.0, _MANY, [{}], "/many", True),
        Question("hot: 100 bots with latestCandle", 0.38, _ALL_BOTS, [{}], "/bots", True),
    ]


WARM = asked_of(_PAGE, [{"symbol": symbol, "last": 1} for symbol in SYMBOLS])
"""What opens the windows of all series."""


def same(answer: Any, floor: Any, *, exact: bool) -> bool:
    """Whether an answer holds the floor's rows, whatever is around them: to the letter if `exact`, otherwise numbers by
    value and instants by time."""
    return bool(_rows(answer, exact) == _rows(floor, exact))


_NUMBERS = {"open", "high", "low", "close", "volume", "virtualBalance"}


def _rows(value: Any, exact: bool, name: str = "") -> Any:
    if isinstance(value, dict):
        if len(value) == 1 or (value and all(key.startswith("s") and key[1:].isdigit() for key in value)):
            found = [_rows(item, exact) for item in value.values()]
            return found[0] if len(found) == 1 else found
        return {key: _rows(item, exact, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_rows(item, exact, name) for item in value]
    if exact:
        return value
    if name == "timestamp":
        return datetime.fromisoformat(value)
    if name in _NUMBERS and isinstance(value, str):
        return Decimal(value)
    if name in ("id", "origin", "status"):
        return str(value).lower()
    return value
