"""Clients that keep a log of what they hear, and come back with their last cursor whenever their socket ends.

One whose cursor has expired begins anew, with a snapshot.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from chaos.ledger import Prices
from gql.cursors import LiveCursor, TapeCursor, decoded
from repos.errors import CursorExpired

_AGAIN_AFTER = 0.2
_CANDLES = """
subscription ($symbol: String!, $timeframe: Timeframe!, $after: String) {
  candles(symbol: $symbol, timeframe: $timeframe, after: $after) {
    kind cursor candle { startTime open high low close volume tradeCount isFinal } gap { start end }
  }
}
"""
_TRADES = """
subscription ($symbol: String!, $after: String) {
  trades(symbol: $symbol, after: $after, snapshot: 1) { cursor trades { tradeId } gap { start end } }
}
"""


TimeRange = tuple[datetime, datetime]
"""Start, inclusive, and end, exclusive."""


class Refused(Exception):
    """The server ended a subscription, or would not begin it."""


@dataclass(frozen=True, slots=True)
class HeardCandle:
    """An event of a candle with the place that its cursor names."""

    kind: str
    revision: int
    start: datetime
    prices: Prices
    is_final: bool


@dataclass
class _Log:
    """What one subscriber heard of a market, in order."""

    symbol: str
    cursor: str | None = field(default=None, kw_only=True)
    gaps: list[TimeRange] = field(default_factory=list, kw_only=True)
    gaps_before: list[TimeRange] = field(default_factory=list, kw_only=True)
    """Those that it heard of before it began anew, of which the database may know nothing."""
    beginnings: int = field(default=0, kw_only=True)
    """How often it began anew, because its cursor had expired."""

    def begin_anew(self) -> None:
        """Forget what was heard: the database has another history."""
        self.cursor = None
        self.gaps_before += self.gaps
        self.gaps = []
        self.beginnings += 1

    def _note(self, event: dict[str, Any]) -> None:
        """What events of every kind have."""
        self.cursor = event["cursor"]
        if (gap := event["gap"]) and event.get("kind") != "DELETED":
            self.gaps.append(_range(gap))


@dataclass
class CandleLog(_Log):
    timeframe: str
    first_revision: int | None = None
    """That of its first cursor: what was written later must be heard."""
    revision: int = -1
    """That of its last cursor."""
    heard: list[HeardCandle] = field(default_factory=list)

    def begin_anew(self) -> None:
        super().begin_anew()
        self.first_revision, self.revision, self.heard = None, -1, []

    @property
    def name(self) -> str:
        return f"subscriber of {self.symbol} {self.timeframe}"

    @property
    def query(self) -> tuple[str, dict[str, Any]]:
        return _CANDLES, {"symbol": self.symbol, "timeframe": self.timeframe, "after": self.cursor}

    def hear(self, data: dict[str, Any]) -> None:
        event = data["candles"]
        self._note(event)
        self.revision = decoded("cursor", event["cursor"], LiveCursor).revision
        if self.first_revision is None:
            self.first_revision = self.revision
        if event["kind"] == "DELETED":
            start, end = _range(event["gap"])
            self.heard = [candle for candle in self.heard if not start <= candle.start < end]
        if candle := event["candle"]:
            numbers = [Decimal(candle[name]) for name in ("open", "high", "low", "close", "volume")]
            prices = Prices._make([*numbers, candle["tradeCount"]])
            start = datetime.fromisoformat(candle["startTime"])
            self.heard.append(HeardCandle(event["kind"], self.revision, start, prices, candle["isFinal"]))


@dataclass
class TradeLog(_Log):
    row: int = 0
    """That of its last cursor."""
    heard: list[int] = field(default_factory=list)
    """Ids of trades."""
    count: int = 0
    """Of all trades that it ever heard."""

    def begin_anew(self) -> None:
        super().begin_anew()
        self.row, self.heard = 0, []

    @property
    def name(self) -> str:
        return f"subscriber of the trades of {self.symbol}"

    @property
    def query(self) -> tuple[str, dict[str, Any]]:
        return _TRADES, {"symbol": self.symbol, "after": self.cursor}

    def hear(self, data: dict[str, Any]) -> None:
        event = data["trades"]
        self._note(event)
        self.row = decoded("cursor", event["cursor"], TapeCursor).id
        self.heard += [int(trade["tradeId"]) for trade in event["trades"]]
        self.count += len(event["trades"])


Log = CandleLog | TradeLog


def _range(gap: dict[str, str]) -> TimeRange:
    return datetime.fromisoformat(gap["start"]), datetime.fromisoformat(gap["end"])


async def subscribe(log: Log, url: str) -> None:
    """Fill `log` until cancelled."""
    while True:
        try:
            await _follow(log, url)
        except (OSError, TimeoutError, WebSocketException, Refused):
            await asyncio.sleep(_AGAIN_AFTER)


async def _follow(log: Log, url: str) -> None:
    protocol = Subprotocol("graphql-transport-ws")
    async with connect(
        url, subprotocols=[protocol], open_timeout=5, close_timeout=0.5, ping_interval=2, ping_timeout=3
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        async for text in socket:
            message = json.loads(text)
            match message["type"]:
                case "connection_ack":
                    query, variables = log.query
                    payload = {"query": query, "variables": {n: v for n, v in variables.items() if v is not None}}
                    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                case "next" if "errors" not in message["payload"]:
                    log.hear(message["payload"]["data"])
                case "ping":
                    await socket.send(json.dumps({"type": "pong"}))
                case "pong":
                    pass
                case "error" if message["payload"][0]["extensions"]["code"] == CursorExpired.code:
                    log.begin_anew()
                    raise Refused(text)
                case _:
                    raise Refused(text)
