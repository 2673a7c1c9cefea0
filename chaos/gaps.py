"""Every state that the table of gaps went through, kept by a trigger, and what subscribers were told of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from chaos.ledger import TIMEFRAMES, instant, ms_of
from chaos.subscribers import CandleLog, Log, TimeRange

TOLD_WITHIN = timedelta(seconds=20)
"""A gap open for longer is known to all subscribers, even to one that had to find out that its connection is dead."""
_IS_THERE = "SELECT to_regclass('public.gaps') IS NOT NULL"
_WATCH = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.gaps (
    place bigint GENERATED ALWAYS AS IDENTITY, id bigint, symbol text, after timestamptz, before timestamptz,
    is_open boolean, at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION chaos.keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE gap public.gaps := coalesce(NEW, OLD);
BEGIN
    INSERT INTO chaos.gaps (id, symbol, after, before, is_open) VALUES
        (gap.id, gap.symbol, gap.after, gap.before, TG_OP <> 'DELETE' AND gap.open_since IS NOT NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_keep AFTER INSERT OR UPDATE OR DELETE ON public.gaps FOR EACH ROW EXECUTE FUNCTION chaos.keep();
"""
_STATES = "SELECT id, symbol, after, before, is_open, at FROM chaos.gaps ORDER BY place"


class GapState(NamedTuple):
    """A row of the table `gaps` as it became `at` this moment; not open, it is being recovered or is gone."""

    id: int
    symbol: str
    after: datetime
    before: datetime
    is_open: bool
    at: datetime


async def are_stored(connection: asyncpg.Connection) -> bool:
    """Whether the programs have made the table by now."""
    stored: bool = await connection.fetchval(_IS_THERE)
    return stored


async def watch(connection: asyncpg.Connection) -> None:
    """Keep all states from now on."""
    async with connection.transaction():
        await connection.execute(_WATCH)


async def states(connection: asyncpg.Connection) -> list[GapState]:
    """All, in order."""
    return [GapState._make(row) for row in await connection.fetch(_STATES)]


def open_gaps(kept: Sequence[GapState]) -> list[GapState]:
    """Those that are open still."""
    return [state for state in {state.id: state for state in kept}.values() if state.is_open]


def were_missing(kept: Sequence[GapState], symbol: str, start: datetime, end: datetime) -> bool:
    """Whether a gap in the trades of [start, end) was open for a time."""
    return any(s.is_open for s in kept if s.symbol == symbol and s.after < end and start <= s.before)


def untrue(log: Log, kept: Sequence[GapState]) -> list[str]:
    """What the subscriber was told of gaps that there never were."""
    true = {_range(log, state) for state in kept if state.is_open and state.symbol == log.symbol}
    return [f"{log.name}: a gap was told that never was: {told}" for told in log.gaps if told not in true]


def untold(log: Log, kept: Sequence[GapState]) -> list[str]:
    """The gaps that were open for longer than TOLD_WITHIN without a word to the subscriber."""
    ranges: dict[int, set[TimeRange]] = {}
    since: dict[int, datetime] = {}
    late: list[str] = []
    for state in kept:
        if state.symbol != log.symbol:
            continue
        ranges.setdefault(state.id, set()).add(_range(log, state))
        if state.is_open:
            since.setdefault(state.id, state.at)
            continue
        begun = since.pop(state.id, state.at)
        if state.at - begun > TOLD_WITHIN and ranges[state.id].isdisjoint([*log.gaps, *log.gaps_before]):
            late.append(f"{log.name}: nothing was told of {state}, which was open since {begun.isoformat()}")
    return late


def _range(log: Log, state: GapState) -> TimeRange:
    """What the log's subscriber is to hear of it: whole candles, or up to the trade after it."""
    if not isinstance(log, CandleLog):
        return state.after, state.before + timedelta(milliseconds=1)
    length = TIMEFRAMES[log.timeframe]
    first, last = (ms_of(moment) // length * length for moment in (state.after, state.before))
    return instant(first), instant(last + length)
