"""How candles are deleted: in the order of revisions, as they are written, so that readers can follow.

A deletion is a row of `deletions`, for readers that resume from before it. One whose range lies in that of a later one
is dropped, and so are the oldest of a series beyond KEPT: who stands before such a one (`series.forgotten`) can't be
told all, and begins anew.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from repos.candle_queries import between
from repos.domain import Series
from repos.events import Deletion
from repos.feed.news import DeletedNews
from repos.revisions import KEY
from repos.tables import deletions as d
from repos.tables import market_data as t
from repos.tables import series as s

KEPT = 1_000
"""Deletions of a series that readers who resume are told of."""
AT_ONCE = 100_000
"""Candles deleted in one transaction, at most: writers of the series wait for its end."""


async def delete(connection: AsyncConnection, series: Series, start: datetime, end: datetime) -> DeletedNews | None:
    """Delete candles that start in [start, end), in the transaction of `connection`; None when there are none.

    The news tells how many, and up to where: of more than AT_ONCE the oldest are deleted. The row of the series is
    locked as by those who write, and takes one revision.
    """
    this = [s.c[name] == getattr(series, name) for name in KEY]
    revision = (await connection.execute(sa.select(s.c.revision).where(*this).with_for_update())).scalar()
    if revision is None:
        return None
    inside = sa.select(t.c.start_time).where(*between(series, start, end)).order_by(t.c.start_time)
    end = (await connection.execute(inside.offset(AT_ONCE).limit(1))).scalar() or end
    count = (await connection.execute(sa.delete(t).where(*between(series, start, end)))).rowcount
    if not count:
        return None
    newest_before = await connection.scalar(sa.select(sa.func.max(t.c.start_time)).where(*between(series, None, start)))
    oldest_after = await connection.scalar(sa.select(sa.func.min(t.c.start_time)).where(*between(series, end, None)))
    changed = {"revision": revision + 1, "candle_count": s.c.candle_count - count}
    if newest_before is None:
        changed["first_time"] = oldest_after
    if oldest_after is None:
        changed["last_time"] = newest_before
    deletion = Deletion(start, end, newest_before)
    forgotten = await _keep(connection, series, revision + 1, deletion)
    if forgotten is not None:
        changed["forgotten"] = forgotten
    await connection.execute(sa.update(s).where(*this).values(changed))
    return DeletedNews(series, revision + 1, deletion, count)


async def _keep(connection: AsyncConnection, series: Series, revision: int, deletion: Deletion) -> int | None:
    """Store that a deletion was made; the revision up to which others were dropped for it, if any was."""
    these = [d.c[name] == getattr(series, name) for name in KEY]
    contained = sa.delete(d).where(*these, d.c.start_time >= deletion.start, d.c.end_time <= deletion.end)
    await connection.execute(contained)
    row = (*series, revision, *deletion)
    await connection.execute(sa.insert(d).values(row))
    beyond = sa.select(d.c.revision).where(*these).order_by(d.c.revision.desc()).offset(KEPT).limit(1)
    forgotten: int | None = (await connection.execute(beyond)).scalar()
    if forgotten is not None:
        await connection.execute(sa.delete(d).where(*these, d.c.revision <= forgotten))
    return forgotten
