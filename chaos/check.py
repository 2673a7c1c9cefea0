"""What is stored and what was heard, against the exchange's ledger. Every mistake is a line of text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import asyncpg

from chaos.gaps import GapState, open_gaps, states, untold, untrue, were_missing
from chaos.ledger import TIMEFRAMES, Ledger, Prices, TrueTrade, instant, ms_of
from chaos.subscribers import CandleLog, Log, TradeLog

_TRADES = """
SELECT id, symbol, first_trade_id, trade_id, timestamp, raw_data->>'px', raw_data->>'sz', raw_data->>'side'
FROM raw_trades WHERE trade_id IS NOT NULL ORDER BY id
"""
_CANDLES = """
SELECT symbol, timeframe, start_time, revision, origin, open, high, low, close, volume, trade_count FROM market_data
"""


class StoredTrade(NamedTuple):
    row: int
    symbol: str
    first_id: int
    last_id: int
    timestamp: datetime
    price: Decimal
    size: Decimal
    side: str


class StoredCandle(NamedTuple):
    revision: int
    origin: str
    prices: Prices


@dataclass(frozen=True)
class Stored:
    """All that the database holds."""

    trades: Sequence[StoredTrade]
    """In the order of writing."""
    candles: Mapping[tuple[str, str], Mapping[datetime, StoredCandle]]
    """By symbol and timeframe, then by start."""
    gaps: Sequence[GapState] = ()

    def trades_of(self, symbol: str) -> list[StoredTrade]:
        return [trade for trade in self.trades if trade.symbol == symbol]

    def begun(self, symbol: str) -> int | None:
        """From when on all is to be there, in ms: from where the collector looked back to when it began to follow.

        That is its first gap, known before its first trade, whose pages may hold older ones. Without one the first
        trade received began the longest candle.
        """
        if looked_back := next((gap.after for gap in self.gaps if gap.symbol == symbol), None):
            return ms_of(looked_back)
        first = next((ms_of(trade.timestamp) for trade in self.trades if trade.symbol == symbol), None)
        return None if first is None else first - first % max(TIMEFRAMES.values())


@dataclass
class Findings:
    """What is wrong; empty lists when all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, out of order {len(self.disordered)}, "
            f"wrong candles {len(self.wrong)}"
        )

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.disordered, *self.wrong]


async def read(connection: asyncpg.Connection) -> Stored:
    trades = [
        StoredTrade._make([*row[:5], Decimal(row[5]), Decimal(row[6]), row[7]])
        for row in await connection.fetch(_TRADES)
    ]
    candles: dict[tuple[str, str], dict[datetime, StoredCandle]] = {}
    for symbol, timeframe, start, revision, origin, *numbers in await connection.fetch(_CANDLES):
        candles.setdefault((symbol, timeframe), {})[start] = StoredCandle(revision, origin, Prices._make(numbers))
    return Stored(trades, candles, await states(connection))


def check_stored(findings: Findings, ledgers: Mapping[str, Ledger], stored: Stored, until: int) -> None:
    """All that happened before `until` is stored as it happened, and no gap is open."""
    findings.lost += [f"a gap is still open: {state}" for state in open_gaps(stored.gaps)]
    for symbol, ledger in ledgers.items():
        begun = stored.begun(symbol)
        if begun is None:
            findings.lost.append(f"nothing of {symbol} is stored")
            continue
        check_trades(findings, symbol, ledger, stored, begun, until)
        for timeframe in TIMEFRAMES:
            check_candles(findings, symbol, timeframe, ledger, stored, begun, until)


def check_trades(findings: Findings, symbol: str, ledger: Ledger, stored: Stored, begun: int, until: int) -> None:
    """Each true trade of [begun, until) is stored, none twice, and nothing that did not happen."""
    rows = stored.trades_of(symbol)
    times = [ms_of(row.timestamp) for row in rows]
    true = ledger.trades(min(times, default=begun), max(times, default=begun) + 1)
    count: Counter[int] = Counter()
    for row in rows:
        count.update(range(row.first_id, row.last_id + 1))
        if not _is_true(row, true):
            findings.lost.append(f"{symbol} {row.last_id} is stored otherwise than it happened: {row}")
    findings.doubled += [f"{symbol} {trade_id} is stored {n} times" for trade_id, n in count.items() if n > 1]
    for trade in ledger.trades(begun, until).values():
        if trade.id not in count:
            findings.lost.append(f"{symbol} {trade.id} of {instant(trade.ms).isoformat()} is not stored")


def check_candles(
    findings: Findings, symbol: str, timeframe: str, ledger: Ledger, stored: Stored, begun: int, until: int
) -> None:
    """Each candle that lies in [begun, until) is stored, and every stored candle is what its trades make."""
    held = stored.candles.get((symbol, timeframe), {})
    starts = [ms_of(start) for start in held]
    true = ledger.candles(timeframe, min([begun, *starts]), max([until, *(start + 1 for start in starts)]))
    name = f"{symbol} {timeframe}"
    for start, row in held.items():
        prices = true.get(start)
        # The exchange's own candle, which has no count, is right only where trades were missing.
        end = instant(ms_of(start) + TIMEFRAMES[timeframe])
        if row.origin == "exchange" and prices and were_missing(stored.gaps, symbol, start, end):
            prices = prices._replace(trade_count=None)
        if row.prices != prices:
            findings.wrong.append(f"{name} {start.isoformat()} is {row}, its trades make {prices}")
    for start in true:
        if begun <= ms_of(start) <= until - TIMEFRAMES[timeframe] and start not in held:
            findings.lost.append(f"{name} {start.isoformat()} is not stored")


def check_candle_log(findings: Findings, log: CandleLog, stored: Stored) -> None:
    """All that was written since the first cursor was heard, once a cursor, in the order of revisions."""
    name = log.name
    _check_gaps(findings, log, stored)
    held = stored.candles.get((log.symbol, log.timeframe), {})
    if log.first_revision is None:
        if held:
            findings.lost.append(f"{name} heard nothing at all")
        return
    last: dict[datetime, tuple[int, Prices]] = {}
    written = []
    for event in log.heard:
        if event.kind == "FORMING":
            if event.start in last:
                findings.disordered.append(f"{name}: FORMING {event.start.isoformat()} after its own CLOSED")
        else:
            last[event.start] = event.revision, event.prices
            if event.kind != "SNAPSHOT":
                written.append((event.revision, event.start))
        if event.is_final is (event.kind == "FORMING"):
            findings.wrong.append(f"{name}: a candle that says {event.is_final=} came as {event}")
    for before, after in pairwise(written):
        if after == before:
            findings.doubled.append(f"{name}: {after} came twice")
        elif after < before:
            findings.disordered.append(f"{name}: {after} came after {before}")
    for start, row in held.items():
        if row.revision > log.first_revision and last.get(start) != (row.revision, row.prices):
            findings.lost.append(f"{name}: {start.isoformat()} is stored as {row}, heard last as {last.get(start)}")


def check_trade_log(findings: Findings, log: TradeLog, stored: Stored) -> None:
    """All that was written since the first trade heard was heard, once, in the order of writing."""
    name = log.name
    _check_gaps(findings, log, stored)
    if not log.heard:
        findings.lost.append(f"{name} heard nothing at all")
        return
    ids = [row.last_id for row in stored.trades_of(log.symbol)]
    due = ids[ids.index(log.heard[0]) :] if log.heard[0] in ids else ids
    count = Counter(log.heard)
    findings.doubled += [f"{name}: {trade_id} came {n} times" for trade_id, n in count.items() if n > 1]
    findings.lost += [f"{name}: {trade_id} never came" for trade_id in due if trade_id not in count]
    once = list(dict.fromkeys(log.heard))
    heard_due = [trade_id for trade_id in due if trade_id in count]
    if once != heard_due:
        place = next((i for i, pair in enumerate(zip(once, heard_due, strict=False)) if pair[0] != pair[1]), -1)
        findings.disordered.append(f"{name}: the {place}th is not as it was written: {once[place]}")


def _check_gaps(findings: Findings, log: Log, stored: Stored) -> None:
    findings.wrong += untrue(log, stored.gaps)
    findings.lost += untold(log, stored.gaps)


def _is_true(row: StoredTrade, true: Mapping[int, TrueTrade]) -> bool:
    matches = [true.get(trade_id) for trade_id in range(row.first_id, row.last_id + 1)]
    found = [match for match in matches if match is not None]
    return (
        len(found) == len(matches)
        and {match.price for match in found} == {row.price}
        and {match.side for match in found} == {row.side}
        and {match.ms for match in found} == {ms_of(row.timestamp)}
        and sum((match.size for match in found), Decimal()) == row.size
    )
