"""The bus: news from the writer's transaction to every process, by PostgreSQL's NOTIFY and LISTEN."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from repos.driver_errors import DRIVER_ERRORS, translated
from repos.feed.codec import Decoder, Follows, encode
from repos.feed.news import News
from repos.hot import Hot

CHANNEL = "candleql"

_pieces = sa.func.unnest(sa.bindparam("pieces", type_=ARRAY(sa.Text))).column_valued("piece")
# The aggregate makes one small row of the many void ones.
_NOTIFY = Hot(sa.select(sa.func.count(sa.func.pg_notify(CHANNEL, _pieces))))
_NO_WAIT = sa.text("SET LOCAL synchronous_commit TO off")

log = structlog.get_logger(__name__)


class Bus:
    """Carries news. What is announced in a transaction arrives when that commits, in the order of commits, or never."""

    def __init__(self, sender: AsyncEngine, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        """`connect` opens the connection that listens: a direct one, for a transaction pooler drops LISTEN. What no row
        stands behind is sent through `sender`, to the primary."""
        self._sender = sender
        self._connect = connect

    async def announce(self, connection: AsyncConnection, *news: News) -> None:
        """Send news when the transaction of `connection` commits."""
        pieces = [piece for item in news for piece in encode(item)]
        if pieces:
            await _NOTIFY.fetch(connection, {"pieces": pieces})

    async def publish(self, *news: News) -> None:
        """Send news that no row stands behind, so the commit need not wait for the disk.

        Raises:
            DatabaseOperationError: It was not sent.
        """
        try:
            async with self._sender.begin() as connection:
                await connection.execute(_NO_WAIT)
                await self.announce(connection, *news)
        except DRIVER_ERRORS as error:
            failure = translated("publishing news", error)
            raise failure from failure.__cause__

    async def listen(
        self, heard: Callable[[News], None], ready: Callable[[], None], lost: asyncio.Event, follows: Follows
    ) -> None:
        """Call `ready` once, then `heard` with all news from there on, in order, until the connection is lost.

        News of a series or tape that nobody `follows` comes without its rows. Returns when the connection is lost, or
        when the caller sets `lost`. Unreadable news is logged and left out: readers find the hole by its revision.

        Raises:
            OSError, asyncpg.PostgresError: The connection could not be made.
        """
        decoders: dict[int, Decoder] = {}

        def arrived(_: object, sender: int, __: str, payload: object) -> None:
            try:
                news = decoders.setdefault(sender, Decoder(follows)).feed(str(payload))
            except (ValueError, TypeError, LookupError, ArithmeticError) as error:
                log.warning("Unreadable news", sender=sender, reason=str(error), payload=str(payload)[:200])
                return
            if news is not None:
                del decoders[sender]
                heard(news)

        connection = await self._connect()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, arrived)
            ready()
            await lost.wait()
        finally:
            # Not close(): it waits for the server, which may be the very thing that is gone.
            connection.terminate()
