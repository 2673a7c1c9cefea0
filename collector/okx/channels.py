"""Which channels a collector follows on which websocket, and how each of them is doing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from collector.okx.protocol import EXCHANGE, Arg
from collector.okx.session import UNKNOWN
from repos.domain import DataType
from repos.events import FeedHealth, Refusal

PUBLIC, BUSINESS = "public", "business"
_CHANNELS = {
    DataType.TRADE: (BUSINESS, "trades-all"),
    DataType.TICKER: (PUBLIC, "tickers"),
    DataType.ORDERBOOK: (PUBLIC, "books5"),
    DataType.CANDLE: (BUSINESS, "candle1m"),
}
_AGGREGATED = "trades"
"""Where single matches are refused: one message per taker order, on the public websocket."""
ARGS_PER_CONNECTION = 100
"""OKX closes a connection with too many (4008) and names no number but a hundred (4003), which fit into one request."""


@dataclass(slots=True)
class Channel:
    """One channel of one symbol."""

    arg: Arg
    connected: bool = False
    last_message_at: datetime | None = None
    reconnects: int = -1
    lag_ms: float | None = None
    is_live: bool = False
    """Whether a message came since the exchange acknowledged it: the first one is of the past, however old."""
    refusal: Refusal | None = None
    """Of the exchange, as long as nothing else was found to follow."""

    def health(self, open_gaps: int) -> FeedHealth:
        reconnects = max(0, self.reconnects)
        seen = (self.connected, self.last_message_at, reconnects, open_gaps, self.lag_ms)
        return FeedHealth(EXCHANGE, self.arg.channel, self.arg.symbol, *seen, self.refusal)


class Channels:
    """All channels of some symbols, by the websocket endpoint that serves them."""

    def __init__(self, symbols: Sequence[str], data_types: Iterable[DataType]) -> None:
        self._by_endpoint: dict[str, dict[Arg, Channel]] = {PUBLIC: {}, BUSINESS: {}}
        self._refusals: dict[Arg, Refusal] = {}
        """What was last said of each arg since it was acknowledged, and when it was first said."""
        self._unknown: set[str] = set()
        """Symbols whose single matches the exchange does not know: it has only aggregates, or no such symbol yet."""
        for data_type in sorted(data_types, key=list(_CHANNELS).index):
            endpoint, name = _CHANNELS[data_type]
            for symbol in symbols:
                self._add(endpoint, Arg(name, symbol))

    @classmethod
    def split(cls, symbols: Sequence[str], data_types: Iterable[DataType]) -> list["Channels"]:
        """Those of all `symbols`, in parts that take one connection to each endpoint."""
        followed = set(data_types)
        args_per_symbol = Counter(_CHANNELS[data_type][0] for data_type in followed)
        args_per_symbol[PUBLIC] += DataType.TRADE in followed  # for the trades that BUSINESS refuses
        size = ARGS_PER_CONNECTION // max(args_per_symbol.values())
        return [cls(symbols[first : first + size], followed) for first in range(0, len(symbols), size)]

    def args(self, endpoint: str) -> list[Arg]:
        return list(self._by_endpoint[endpoint])

    def symbols_of_trades(self, endpoint: str) -> list[str]:
        """The symbols whose trades come over `endpoint`."""
        return [arg.symbol for arg in self._by_endpoint[endpoint] if arg.channel.startswith("trades")]

    def connected(self, endpoint: str, arg: Arg) -> None:
        """The exchange acknowledged `arg`."""
        channel = self._by_endpoint[endpoint].get(arg)
        if channel is not None:
            channel.connected, channel.is_live = True, False
            channel.refusal = None
            self._refusals.pop(arg, None)
            channel.reconnects += 1

    def stalled(self, endpoint: str, arg: Arg) -> None:
        """`arg` fell silent, and is about to be opened anew."""
        self._by_endpoint[endpoint][arg].connected = False

    def disconnected(self, endpoint: str) -> None:
        for channel in self._by_endpoint[endpoint].values():
            channel.connected = False

    def received(self, endpoint: str, arg: Arg, now: datetime, sent: datetime) -> None:
        """A message came of what happened at `sent`."""
        channel = self._by_endpoint[endpoint].get(arg)
        if channel is None:
            return
        channel.last_message_at = now
        # A candle's row has no other time than its opening.
        if channel.is_live and arg.channel != _CHANNELS[DataType.CANDLE][1]:
            channel.lag_ms = (now - sent).total_seconds() * 1000
        channel.is_live = True

    def refused(self, endpoint: str, arg: Arg, refusal: Refusal) -> Arg | None:
        """The exchange refused `arg`: what to follow on the other endpoint instead, or None: then it is not connected.

        Aggregates are tried where single matches are refused. Where the exchange knows neither, the symbol may be
        listed later, and single matches are to be asked for then.
        """
        code, channel = refusal.code, self._by_endpoint[endpoint].get(arg)
        first = self._refusals.get(arg, refusal)
        told = self._refusals[arg] = replace(refusal, since=first.since)
        if channel is not None:
            channel.refusal = told
        all_trades = _CHANNELS[DataType.TRADE][1]
        if arg.channel == all_trades:
            other, instead = PUBLIC, Arg(_AGGREGATED, arg.symbol)
            if code == UNKNOWN:
                self._unknown.add(arg.symbol)
        elif arg.channel == _AGGREGATED and code == UNKNOWN and arg.symbol in self._unknown:
            other, instead = BUSINESS, Arg(all_trades, arg.symbol)
            self._unknown.discard(arg.symbol)
        else:
            if channel is not None:
                channel.connected = False
            return None
        self._by_endpoint[endpoint].pop(arg, None)
        self._add(other, instead)
        # Tried for the first time it is not refused yet; tried again it is, in the words that were said of it.
        self._by_endpoint[other][instead].refusal = self._refusals.get(instead)
        return instead

    def health(self, open_gaps: dict[str, int]) -> list[FeedHealth]:
        """One row for each channel; gaps are those of a symbol's trades."""
        return [
            channel.health(open_gaps.get(channel.arg.symbol, 0) if channel.arg.channel.startswith("trades") else 0)
            for channels in self._by_endpoint.values()
            for channel in channels.values()
        ]

    def _add(self, endpoint: str, arg: Arg) -> None:
        self._by_endpoint[endpoint][arg] = Channel(arg)
