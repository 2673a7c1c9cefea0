"""Trading bots' records."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.typing import FilteringBoundLogger

from repos.base import BaseRepository
from repos.bot_reader import BotReader
from repos.domain import Bot, BotStatus, InvalidValue, Page, Timeframe, instant, label, not_ahead, number
from repos.errors import Conflict
from repos.events import BotEventKind
from repos.feed.bus import Bus
from repos.feed.news import BotNews
from repos.json_text import json_text
from repos.tables import bots as t
from repos.wire import WireConnections

NAME_LIMIT = 128
CONFIG_BYTES = 64 * 1024


def _title(name: str, value: Any) -> str:
    return label(name, value, limit=NAME_LIMIT, spaces=True)


def _status(name: str, value: object) -> str:
    try:
        return BotStatus(value).value
    except ValueError as error:
        known = ", ".join(status.value for status in BotStatus)
        raise InvalidValue(name, f"{value!r} is not one of {known}") from error


def _config(name: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidValue(name, "it is not a JSON object")
    text = json_text(name, value).encode()
    if len(text) > CONFIG_BYTES:
        raise InvalidValue(name, f"{len(text)} bytes as JSON are more than {CONFIG_BYTES}")
    return value


def _moment(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    return not_ahead(name, instant(name, value))


def _balance(name: str, value: object) -> Decimal:
    balance = number(name, value)
    if balance < 0:
        raise InvalidValue(name, f"it must be at least 0, and is {balance}")
    return balance


_FIELDS: dict[str, Callable[[str, Any], Any]] = {
    "name": _title,
    "strategy_name": _title,
    "exchange": label,
    "symbol": label,
    "timeframe": lambda _, value: Timeframe(value),
    "status": _status,
    "virtual_balance": _balance,
    "config": _config,
    "last_heartbeat": _moment,
}
_REQUIRED = ("name", "strategy_name", "symbol", "timeframe")


def _checked(data: Mapping[str, Any]) -> dict[str, Any]:
    for key in data:
        if key not in _FIELDS:
            raise InvalidValue(key, f"a bot has no such field; it has {', '.join(_FIELDS)}")
    return {key: _FIELDS[key](key, value) for key, value in data.items()}


def _bot(row: Sequence[Any]) -> Bot:
    fields = dict(zip(t.c.keys(), row, strict=True))
    return Bot(**fields | {"timeframe": Timeframe(fields["timeframe"]), "status": BotStatus(fields["status"])})


def _like(status: BotStatus | None, symbol: str | None) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if status is not None:
        conditions.append(t.c.status == status.value)
    if symbol is not None:
        conditions.append(t.c.symbol == symbol)
    return conditions


class BotRepository(BaseRepository):
    """Stored bots. Every change is announced in its own transaction."""

    def __init__(self, engine: AsyncEngine, bus: Bus, logger: FilteringBoundLogger, wire: WireConnections) -> None:
        super().__init__(engine, logger)
        self._bus = bus
        self.stored = BotReader(engine, logger, wire)

    async def add(self, data: Mapping[str, Any]) -> Bot:
        """Store a new bot out of its fields: name (unique), strategy_name, symbol, timeframe, and unless they shall be
        "okx", "inactive", 0 and {}: exchange, status, virtual_balance and config.

        Raises:
            InvalidValue: A field is unknown, missing or wrong.
            Conflict: The name is taken.
            DatabaseOperationError: The database failed.
        """
        values = _checked(data)
        for name in _REQUIRED:
            if name not in values:
                raise InvalidValue(name, "it is missing")
        values.setdefault("virtual_balance", Decimal(0))
        async with self._transaction(f"adding the bot {values['name']}") as connection:
            [bot] = await self._changed(connection, sa.insert(t).values(values), BotEventKind.CREATED)
        self._log.info(f"Added bot: {bot.name}", id=bot.id)
        return bot

    async def get_by_id(self, bot_id: int) -> Bot | None:
        """The bot, or None.

        Raises:
            DatabaseOperationError: The database failed.
        """
        return await self._one(f"reading bot {bot_id}", t.c.id == bot_id)

    async def get_by_name(self, name: str) -> Bot | None:
        """The bot, or None.

        Raises:
            DatabaseOperationError: The database failed.
        """
        return await self._one(f"reading the bot {name}", t.c.name == name)

    async def update(self, bot_id: int, changes: Mapping[str, Any], expected_version: int | None = None) -> Bot | None:
        """Change the given fields (those of `add`, and last_heartbeat); the bot as it is then, or None without one.

        Raises:
            InvalidValue: A field is unknown or wrong.
            Conflict: The bot is not at `expected_version`, so somebody changed it since; or the new name is taken.
            DatabaseOperationError: The database failed.
        """
        values = _checked(changes)
        async with self._transaction(f"updating bot {bot_id}") as connection:
            row = (await connection.execute(sa.select(t).where(t.c.id == bot_id).with_for_update())).first()
            if row is None:
                return None
            if expected_version not in (None, row.version):
                raise Conflict(
                    f"bot {bot_id} is at version {row.version}, not {expected_version}: it was changed since"
                )
            if not values:
                return _bot(row)
            values |= {"version": t.c.version + 1, "updated_at": sa.func.now()}
            change = sa.update(t).where(t.c.id == bot_id).values(values)
            [bot] = await self._changed(connection, change, BotEventKind.UPDATED)
        self._log.info(f"Updated bot: {row.name}", id=bot_id, fields=sorted(changes))
        return bot

    async def record_heartbeat(self, bot_id: int) -> Bot | None:
        """Note that the bot is alive now; None without one. Its version stays: who edits a bot need not mind its pulse.

        Raises:
            DatabaseOperationError: The database failed.
        """
        beat = sa.update(t).where(t.c.id == bot_id).values(last_heartbeat=sa.func.now())
        async with self._transaction(f"recording a heartbeat of bot {bot_id}") as connection:
            bots = await self._changed(connection, beat, BotEventKind.UPDATED)
        return bots[0] if bots else None

    async def delete(self, bot_id: int) -> bool:
        """Remove the bot; whether there was one.

        Raises:
            DatabaseOperationError: The database failed.
        """
        async with self._transaction(f"deleting bot {bot_id}") as connection:
            bots = await self._changed(connection, sa.delete(t).where(t.c.id == bot_id), BotEventKind.DELETED)
        for bot in bots:
            self._log.info(f"Deleted bot: {bot.name}", id=bot_id)
        return bool(bots)

    async def page(self, **asked: Any) -> Page[Bot]:
        """The page that BotReader.page(**asked) reads, of Bots.

        Raises:
            InvalidValue: first or last is wrong.
            DatabaseOperationError: The database failed.
        """
        found = await self.stored.page(**asked)
        return Page([row.bot for row in found.rows], found.has_next, found.has_previous)

    async def count(self, status: BotStatus | None = None, symbol: str | None = None) -> int:
        """How many bots there are of that status and symbol.

        Raises:
            DatabaseOperationError: The database failed.
        """
        query = sa.select(sa.func.count()).select_from(t).where(*_like(status, symbol))
        async with self._transaction("counting bots") as connection:
            return int((await connection.execute(query)).scalar_one())

    async def silent(self, since: datetime) -> list[Bot]:
        """Active bots without a sign of life since then, by id (repos.domain.Bot.is_stale, for all of them).

        Raises:
            DatabaseOperationError: The database failed.
        """
        heard = sa.func.coalesce(t.c.last_heartbeat, t.c.updated_at)
        query = sa.select(t).where(t.c.status == BotStatus.ACTIVE.value, heard < since).order_by(t.c.id)
        async with self._transaction("reading silent bots") as connection:
            return [_bot(row) for row in await connection.execute(query)]

    async def _one(self, attempt: str, condition: sa.ColumnElement[bool]) -> Bot | None:
        async with self._transaction(attempt) as connection:
            row = (await connection.execute(sa.select(t).where(condition))).first()
        return None if row is None else _bot(row)

    async def _changed(
        self, connection: AsyncConnection, change: sa.Insert | sa.Update | sa.Delete, kind: BotEventKind
    ) -> list[Bot]:
        try:
            bots = [_bot(row) for row in await connection.execute(change.returning(t))]
        except IntegrityError as error:
            raise Conflict("name: another bot has it") from error
        await self._bus.announce(connection, *(BotNews(kind, bot) for bot in bots))
        return bots
