"""The database's epoch: the history in which a revision or a row's id means something.

A position counts only in the history that it was given in: in another database, or in an older copy of the same one,
the same number stands for other rows. So positions carry the epoch that they were read in, and an epoch ends when it
can be seen that the history did (docs/resuming.md).
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from repos.base import BaseRepository

# Others in another database of the server, and in one that was restored from a dump.
_OIDS = "(SELECT oid FROM pg_database WHERE datname = current_database()), 'series'::regclass::oid"
# Others in another cluster; a new timeline begins with a failover, and with a recovery to a point in time.
_CLUSTER = """
(SELECT system_identifier FROM pg_control_system()),
CASE WHEN pg_is_in_recovery() THEN (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_control_checkpoint())
ELSE lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)) END
"""
_WHOLE = f"{_OIDS}, {_CLUSTER}"
_BARRED = _OIDS
"""For a role that may not ask for the cluster, which all may unless somebody forbade it."""
_MAY_ASK = sa.text(
    "SELECT bool_and(has_function_privilege(name || '()', 'execute')) "
    "FROM unnest(ARRAY['pg_control_system', 'pg_control_checkpoint', 'pg_current_wal_lsn']) AS name"
)


def _digest(stored: str, place: str) -> str:
    """The epoch: of what is stored, which is made with the database and renewed when its tables are found to be older
    than what was told of them, and of the `place` that it lies in."""
    return f"left(md5(concat_ws(',', {stored}, {place})), 12)"


def _look(place: str) -> sa.TextClause:
    return sa.text(
        f"SELECT {_digest('(SELECT value FROM epoch)', place)}, pg_is_in_recovery(), "  # noqa: S608 -- constants
        "(SELECT coalesce(sum(revision), 0) FROM series), (SELECT coalesce(sum(last_id), 0) FROM tapes), "
        "(SELECT received_at FROM raw_trades WHERE id = CAST(:row AS bigint)), newest.id, newest.received_at "
        "FROM (SELECT 1) AS one LEFT JOIN "
        "(SELECT id, received_at FROM raw_trades ORDER BY id DESC LIMIT 1) AS newest ON true"
    )


def _renewal(place: str) -> sa.TextClause:
    # Of many who find it out at once one renews it: the others wait for the row, and find that it is another.
    return sa.text(
        "INSERT INTO epoch (value) VALUES (gen_random_uuid()) ON CONFLICT (id) "  # noqa: S608 -- constants
        f"DO UPDATE SET value = excluded.value WHERE {_digest('epoch.value', place)} = :seen"
    )


class _Seen(NamedTuple):
    """What is the same, or grows, for as long as a history goes on.

    `revisions` and `rows` are sums over all series and tapes. `newest` is the last row of raw_trades, received at
    `received_at`; `before` is when the row was received that was the last one at the look before.
    """

    epoch: str
    is_standby: bool
    revisions: Decimal
    rows: Decimal
    before: datetime | None
    newest: int | None
    received_at: datetime | None

    def is_older_than(self, before: Self) -> bool:
        """Whether something of what was seen `before` is not there, or is another: an older copy may have grown since,
        but its rows were not received at the same moments."""
        shrunk = self.revisions < before.revisions or self.rows < before.rows
        return shrunk or (before.newest is not None and self.before != before.received_at)


class EpochRepository(BaseRepository):
    """The epoch as this process knows it."""

    def __init__(self, engine: AsyncEngine, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(engine, logger)
        self.current: str | None = None
        """As it was read last; None before that."""
        self._place: str | None = None
        self._seen: _Seen | None = None

    async def known(self) -> str:
        """The current epoch; asked for before rows are read, so that their position is never of a later one.

        Raises:
            DatabaseOperationError: It was never read, and the database failed.
        """
        if self.current is None:
            seen = await self._look()
            if self.current is None:
                self.current, self._seen = seen.epoch, seen
        return self.current

    async def check(self, *, is_older: bool = False) -> bool:
        """Read it again; whether it is another one than before, so that no position counts any more.

        It is renewed first when the tables are older than at the last look, or than what the caller knows of them.
        Those of a standby may be: it only lags.

        Raises:
            DatabaseOperationError: The database failed.
        """
        before, seen = self._seen, await self._look()
        if seen.is_standby or (before is not None and seen.epoch != before.epoch):
            before = None
        if before is not None and (is_older or seen.is_older_than(before)):
            await self._renew(seen.epoch)
            seen = await self._look()
        is_other = self.current is not None and seen.epoch != self.current
        self.current, self._seen = seen.epoch, seen
        return is_other

    async def _look(self) -> _Seen:
        async with self._transaction("reading the epoch") as connection:
            if self._place is None:
                self._place = _WHOLE if (await connection.execute(_MAY_ASK)).scalar_one() else _BARRED
            row = None if self._seen is None else self._seen.newest
            return _Seen._make((await connection.execute(_look(self._place), {"row": row})).one())

    async def _renew(self, seen: str) -> None:
        async with self._transaction("renewing the epoch") as connection:
            await connection.execute(_renewal(self._place or _WHOLE), {"seen": seen})
