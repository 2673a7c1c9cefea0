"""What the news does not tell, or not any more: it is read from the tables, and handed to the topics as news is."""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from repos.domain import Series
from repos.errors import CursorExpired
from repos.events import BotEventKind, Change, Position
from repos.feed.gaps import compared
from repos.feed.news import BotNews, Tape, TradeNews, news_of
from repos.feed.topics import Key, Topics

if TYPE_CHECKING:
    from repos.operations import DatabaseOperations

_READ_ROWS = 2_000

log = structlog.get_logger(__name__)


class MissedNews:
    """Finds what topics missed, and bots that fell silent."""

    def __init__(self, db: "DatabaseOperations", topics: Topics, bot_timeout: timedelta) -> None:
        """`bot_timeout` is how long a bot may go without a sign of life until it is silent."""
        self._db = db
        self._topics = topics
        self._bot_timeout = bot_timeout
        self._stale: dict[int, datetime] = {}
        """The last sign of life of each silent bot that was told of."""

    async def compare(self) -> None:
        """Read what a topic missed: news is lost with its connection, but `series`, `tapes` and `gaps` know.

        Where those know less than a topic, the database is an older one.

        Raises:
            DatabaseOperationError: The database failed; the next call finds the rest.
        """
        if await self._db.epoch.check():
            self._begin_anew()
        # Before the tables are read: what was delivered by now is in them.
        positions = self._topics.positions()
        stored: dict[Key, int] = {}
        series = await self._db.market_data.revisions([key for key in positions if isinstance(key, Series)])
        stored.update(series.items())
        tapes = await self._db.tape.last_ids([key for key in positions if isinstance(key, Tape)])
        stored.update(tapes.items())
        is_older = any(stored.get(key, 0) < position for key, position in positions.items())
        if is_older and await self._db.epoch.check(is_older=True):
            self._begin_anew()
        self._topics.compared(positions)
        for key, position in positions.items():
            if position < stored.get(key, 0):
                await self.read(key)
        known = self._topics.gaps.all()
        for news in compared(known, await self._db.gaps.open()):
            self._topics.deliver(news)

    async def read(self, key: Key) -> None:
        """Read what the followers of a series or a tape were not told, and tell it.

        Raises:
            DatabaseOperationError: The database failed. What was read before was told.
        """
        if isinstance(key, Series):
            await self._read_series(key)
        elif isinstance(key, Tape):
            await self._read_tape(key)

    async def tell_stale(self) -> None:
        """Tell once of each bot that fell silent; another sign of life makes it news again.

        Raises:
            DatabaseOperationError: The database failed.
        """
        silent = await self._db.bots.silent(datetime.now(UTC) - self._bot_timeout)
        for bot in silent:
            if self._stale.get(bot.id) != bot.last_sign:
                self._topics.deliver(BotNews(BotEventKind.STALE, bot))
        self._stale = {bot.id: bot.last_sign for bot in silent}

    def _begin_anew(self) -> None:
        """The epoch is another: nothing that is remembered of the tables counts, and whoever follows hears of it."""
        log.warning("The database was replaced, or is older than it was: its readers begin anew")
        self._db.market_data.forget()
        self._db.tape.forget()
        self._stale.clear()
        self._topics.expire()

    async def _read_series(self, series: Series) -> None:
        topic, epoch = self._topics.get(series), self._db.epoch.current
        if topic is None or topic.position is None or epoch is None:
            return
        reached = Position(series, topic.position, None, topic.newest, epoch)
        kept: list[tuple[int, Change]] = []
        while True:
            try:
                rows = await self._db.market_data.changes(reached, _READ_ROWS)
            except CursorExpired as expired:
                log.warning("What was missed of a series can't be told", series=str(series), reason=str(expired))
                self._topics.expire_one(series)
                return
            if epoch != self._db.epoch.current:
                return
            kept += [(position.revision, change) for change, position in rows]
            whole = len(rows) < _READ_ROWS
            for revision, group in groupby(kept, key=lambda row: row[0]):
                changes = [change for _, change in group]
                if not whole and revision == kept[-1][0]:
                    # The next page may hold more of this revision, which must come as one piece.
                    kept = [(revision, change) for change in changes]
                    break
                self._topics.deliver(news_of(series, revision, changes), read=True)
            if whole:
                return
            reached = rows[-1][1]

    async def _read_tape(self, tape: Tape) -> None:
        topic, epoch = self._topics.get(tape), self._db.epoch.current
        while topic is not None and topic.position is not None:
            rows = await self._db.tape.after(*tape, topic.position, limit=_READ_ROWS)
            if rows and epoch == self._db.epoch.current:
                ids, trades = [row for row, _ in rows], [trade for _, trade in rows]
                self._topics.deliver(TradeNews(tape, topic.position, ids[-1], trades, ids))
            if len(rows) < _READ_ROWS:
                return
