"""What exchanges trade."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from repos import keyset
from repos.base import BaseRepository
from repos.domain import Instrument, Page
from repos.tables import instruments as t
from repos.tables import series, tapes

_KEY = (t.c.exchange, t.c.symbol)
_VALUES = (t.c.tick_size, t.c.lot_size, t.c.contract_value, t.c.state)
_COLUMNS = (*_KEY, *_VALUES)


def _found(exchange: str, search: str | None) -> list[sa.ColumnElement[bool]]:
    conditions = [t.c.exchange == exchange]
    if search is not None:
        joined = search.translate({ord(separator): None for separator in "-/ "})
        conditions.append(sa.func.replace(t.c.symbol, "-", "").icontains(joined, autoescape=True))
    return conditions


class InstrumentRepository(BaseRepository):
    """Instruments, as the exchange described them last."""

    async def upsert(self, instruments: Sequence[Instrument]) -> int:
        """Store instruments in one transaction, the last of a key given twice; how many are new or changed.

        Raises:
            DatabaseOperationError: The database failed; nothing was written.
        """
        rows = {
            (i.exchange, i.symbol): {column.name: getattr(i, column.name) for column in _COLUMNS} for i in instruments
        }
        if not rows:
            return 0
        new = insert(t)
        statement = new.on_conflict_do_update(
            index_elements=_KEY,
            set_={column.name: new.excluded[column.name] for column in _VALUES} | {"updated_at": sa.func.now()},
            where=sa.tuple_(*_VALUES).is_distinct_from(sa.tuple_(*(new.excluded[c.name] for c in _VALUES))),
        ).returning(t.c.symbol)
        async with self._transaction(f"storing {len(rows)} instruments") as connection:
            # In key order, so that two writers don't wait for each other in a circle.
            return len((await connection.execute(statement, [rows[key] for key in sorted(rows)])).all())

    async def page(
        self, exchange: str, search: str | None = None, first: int | None = None, after: str | None = None
    ) -> Page[Instrument]:
        """Instruments of the exchange by symbol, from behind the symbol `after`; `search` is a part of it, in any
        case, with its dashes or without: btcusdt and BTC/USDT find BTC-USDT.

        Raises:
            InvalidValue: first is wrong (repos.keyset.cut).
            DatabaseOperationError: The database failed.
        """
        cut = keyset.cut(keyset.DEFAULT if first is None else first, None, None if after is None else (after,), None)
        query = keyset.statement(_COLUMNS, [t.c.symbol], _found(exchange, search), cut)
        async with self._transaction(f"reading instruments of {exchange}") as connection:
            rows = (await connection.execute(query)).all()
        found, has_next, has_previous = keyset.trimmed(rows, cut)
        return Page([Instrument(*row) for row in found], has_next, has_previous)

    async def count(self, exchange: str, search: str | None = None) -> int:
        """How many instruments of the exchange there are, or that `search` finds as page() does.

        Raises:
            DatabaseOperationError: The database failed.
        """
        query = sa.select(sa.func.count()).select_from(t).where(*_found(exchange, search))
        async with self._transaction(f"counting instruments of {exchange}") as connection:
            return int((await connection.execute(query)).scalar_one())

    async def unknown(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these keys (exchange, symbol) that are no instrument and of which neither candles nor trades are
        stored. None, while no instrument at all is known: then nobody can tell.

        Raises:
            DatabaseOperationError: The database failed.
        """
        known = sa.union_all(
            sa.select(*_KEY).where(sa.tuple_(*_KEY).in_(keys)),
            sa.select(series.c.exchange, series.c.symbol).where(
                sa.tuple_(series.c.exchange, series.c.symbol).in_(keys), series.c.revision > 0
            ),
            sa.select(tapes.c.exchange, tapes.c.symbol).where(
                sa.tuple_(tapes.c.exchange, tapes.c.symbol).in_(keys), tapes.c.last_id > 0
            ),
        )
        async with self._transaction(f"looking for {len(keys)} instruments") as connection:
            if not (await connection.execute(sa.select(sa.exists().select_from(t)))).scalar_one():
                return set()
            return set(keys) - {(row.exchange, row.symbol) for row in await connection.execute(known)}

    async def get_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Instrument]:
        """The instruments of these keys (exchange, symbol) that are known.

        Raises:
            DatabaseOperationError: The database failed.
        """
        query = sa.select(*_COLUMNS).where(sa.tuple_(*_KEY).in_(keys))
        async with self._transaction(f"reading {len(keys)} instruments") as connection:
            return {(row.exchange, row.symbol): Instrument(*row) for row in await connection.execute(query)}
