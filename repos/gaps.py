"""Gaps in the trades, stored from when one is noticed until it is recovered, so that no restart forgets one.

A gap is *open* when it could not be recovered, or not soon: that is news to subscribers, and so is its end.
"""

from collections.abc import Collection

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from repos.base import BaseRepository
from repos.domain import Gap
from repos.feed.bus import Bus
from repos.feed.news import GapNews, Tape
from repos.tables import gaps as t

_GAP = (t.c.exchange, t.c.symbol, t.c.first_missing_id, t.c.last_missing_id, t.c.after, t.c.before)


class GapRepository(BaseRepository):
    """Gaps, open ones and those that are being recovered."""

    def __init__(self, engine: AsyncEngine, bus: Bus, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(engine, logger)
        self._bus = bus

    async def add(self, gap: Gap) -> None:
        """Store a gap that was noticed, unless one that holds it is stored.

        Raises:
            DatabaseOperationError: The database failed; nothing was stored.
        """
        holds = (
            t.c.exchange == gap.exchange,
            t.c.symbol == gap.symbol,
            t.c.first_missing_id <= gap.first_missing_id,
            t.c.last_missing_id >= gap.last_missing_id,
            # The exchange may begin its ids anew.
            t.c.after <= gap.after,
            t.c.before >= gap.before,
        )
        row = sa.select(*(sa.literal(getattr(gap, column.name), column.type) for column in _GAP))
        known = sa.exists().where(*holds)
        statement = sa.insert(t).from_select([column.name for column in _GAP], row.where(~known))
        async with self._transaction(f"storing a gap of {gap.exchange} {gap.symbol}") as connection:
            await connection.execute(statement)

    async def leave_open(self, gap: Gap, left: Gap) -> None:
        """`gap` is not recovered yet, or not all of it: `left` lies inside it, or is it, and is still missing.

        Raises:
            DatabaseOperationError: The database failed; nothing was changed.
        """
        changed = {column: getattr(left, column.name) for column in _GAP}
        statement = (
            sa.update(t)
            .where(*_is(gap))
            .values(changed | {t.c.open_since: sa.func.coalesce(t.c.open_since, sa.func.now())})
            # now() is the beginning of the transaction, whoever asks in it.
            .returning(t.c.id, (t.c.open_since == sa.func.now()).label("is_new"))
        )
        async with self._transaction(f"leaving a gap of {gap.exchange} {gap.symbol} open") as connection:
            rows = (await connection.execute(statement)).all()
            await self._bus.announce(connection, *(_news(row.id, left, True) for row in rows if row.is_new))

    async def close(self, gap: Gap) -> None:
        """All trades of `gap` are stored.

        Raises:
            DatabaseOperationError: The database failed; nothing was changed.
        """
        statement = sa.delete(t).where(*_is(gap)).returning(t.c.id, t.c.open_since)
        async with self._transaction(f"closing a gap of {gap.exchange} {gap.symbol}") as connection:
            rows = (await connection.execute(statement)).all()
            told = [row.id for row in rows if row.open_since is not None]
            await self._bus.announce(connection, *(_news(row_id, gap, False) for row_id in told))

    async def of(self, exchange: str, symbols: Collection[str]) -> list[Gap]:
        """All gaps of these symbols, open or not, ascending by ids within a symbol.

        Raises:
            DatabaseOperationError: The database failed.
        """
        query = sa.select(*_GAP).where(t.c.exchange == exchange, t.c.symbol.in_(symbols)).order_by(*_GAP)
        async with self._transaction(f"reading gaps of {len(symbols)} symbols") as connection:
            return [Gap(*row) for row in await connection.execute(query)]

    async def open(self) -> list[GapNews]:
        """All open gaps, as their news was.

        Raises:
            DatabaseOperationError: The database failed.
        """
        query = sa.select(t.c.id, *_GAP).where(t.c.open_since.is_not(None)).order_by(t.c.id)
        async with self._transaction("reading open gaps") as connection:
            return [_news(row[0], Gap(*row[1:]), True) for row in await connection.execute(query)]


def _is(gap: Gap) -> list[sa.ColumnElement[bool]]:
    return [column == getattr(gap, column.name) for column in _GAP]


def _news(row_id: int, gap: Gap, is_open: bool) -> GapNews:
    return GapNews(Tape(gap.exchange, gap.symbol), row_id, gap.after, gap.before, is_open)
