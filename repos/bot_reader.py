"""Pages of bots for who prints them: columns are decoded as they are read."""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import FilteringBoundLogger

from repos import keyset
from repos.base import BaseRepository
from repos.domain import Bot, BotStatus, Page, Series, Timeframe
from repos.hot import Hot
from repos.json_text import read_json
from repos.stored import moment_of
from repos.tables import bots as t
from repos.wire import WireConnections

_AHEAD = 2
"""Columns of keyset.statement before the bot's own."""
_NAMES = tuple(t.c.keys())
_KEY = slice(_AHEAD + _NAMES.index("exchange"), _AHEAD + _NAMES.index("timeframe") + 1)
_STATUSES = {status.value: status for status in BotStatus}


def _column(name: str, decode: Callable[[Any], Any] | None = None) -> Any:
    get = itemgetter(_AHEAD + _NAMES.index(name))
    if decode is None:
        return property(get)
    return property(lambda row: None if (value := get(row)) is None else decode(value))


@lru_cache(maxsize=1024)
def _series(exchange: str, symbol: str, timeframe: str) -> Series:
    return Series(exchange, symbol, Timeframe(timeframe))


class StoredBot(asyncpg.Record):  # type: ignore[misc]  # asyncpg has no types
    """A bot as PostgreSQL sent it, with the attributes of a Bot."""

    id = _column("id")
    name = _column("name")
    strategy_name = _column("strategy_name")
    exchange = _column("exchange")
    symbol = _column("symbol")
    timeframe = _column("timeframe", Timeframe)
    status = _column("status", _STATUSES.__getitem__)
    virtual_balance = _column("virtual_balance", Decimal)
    config = _column("config", read_json)
    last_heartbeat = _column("last_heartbeat", moment_of)
    created_at = _column("created_at", moment_of)
    updated_at = _column("updated_at", moment_of)
    version = _column("version")
    last_sign = Bot.last_sign
    is_stale = Bot.is_stale

    @property
    def series(self) -> Series:
        return _series(*self[_KEY])

    @property
    def bot(self) -> Bot:
        return Bot(*(getattr(self, name) for name in _NAMES))


class BotReader(BaseRepository):
    def __init__(self, engine: AsyncEngine, logger: FilteringBoundLogger, wire: WireConnections) -> None:
        super().__init__(engine, logger)
        self._wire = wire

    async def page(
        self,
        *,
        status: BotStatus | None = None,
        symbol: str | None = None,
        first: int | None = None,
        after: int | None = None,
        last: int | None = None,
        before: int | None = None,
    ) -> Page[StoredBot]:
        """A page of those bots, by ascending id; after and before are ids. Pages as repos.keyset.cut says.

        Raises:
            InvalidValue: first or last is wrong.
            DatabaseOperationError: The database failed.
        """
        behind, ahead = (None if place is None else (place,) for place in (after, before))
        cut = keyset.cut(first, last, behind, ahead)
        asked = {"status": status and status.value, "symbol": symbol, "after": after, "before": before}
        given = {name: value for name, value in asked.items() if value is not None}
        with self._failing("reading a page of bots"):
            statement = _statement(frozenset(given), cut.backward)
            rows = await self._wire.fetch(statement, given | {"limit": cut.limit}, StoredBot)
        return Page(*keyset.turned(rows, cut))


@lru_cache(maxsize=32)
def _statement(given: frozenset[str], backward: bool) -> Hot:
    """A page with values for `limit` and the names in `given`."""
    values: dict[str, Any] = {name: sa.bindparam(name, type_=t.c.get(name, t.c.id).type) for name in given}
    conditions = [t.c[name] == values[name] for name in ("status", "symbol") if name in given]
    after, before = ((values[name],) if name in given else None for name in ("after", "before"))
    cut = keyset.Cut(sa.bindparam("limit", type_=sa.Integer), backward, after, before)
    return Hot(keyset.statement(list(t.c), [t.c.id], conditions, cut))
