"""API keys. A key is 256 random bits that are shown once: only their SHA-256 is stored, which leads back to no key."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from repos.base import BaseRepository
from repos.domain import InvalidValue, instant, label, shown
from repos.errors import Conflict
from repos.tables import KEY_ROLES
from repos.tables import api_keys as t

PREFIX = "cql_"
"""What every key begins with, so that people and scanners for leaked secrets recognise one."""
MOST = 1_000
"""Live keys: each server keeps all of them in memory, and reads them every few seconds."""

_COLUMNS = (t.c.id, t.c.name, t.c.role, t.c.created_at, t.c.expires_at, t.c.last_used_at, t.c.revoked_at)
_LIVE = sa.and_(t.c.revoked_at.is_(None), sa.or_(t.c.expires_at.is_(None), t.c.expires_at > sa.func.now()))
_USE_IS_OLD = sa.or_(t.c.last_used_at.is_(None), t.c.last_used_at < sa.func.now() - sa.text("interval '1 minute'"))


@dataclass(frozen=True, slots=True)
class Key:
    """All that is known of a key. `last_used_at` may be a minute behind."""

    id: int
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def digest(secret: str) -> bytes:
    """What is stored of a key: 32 bytes. A slow hash protects what people choose; 256 random bits need none."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class KeyRepository(BaseRepository):
    """Keys. A row stays after its key was revoked or has expired."""

    async def create(self, name: str, role: str, expires_at: datetime | None = None) -> tuple[Key, str]:
        """A new key, and its secret, which nobody can tell again.

        `name` is 1 to 64 printable characters, not a number; `role` is viewer, trader, collector or admin.

        Raises:
            InvalidValue: A value is wrong.
            Conflict: A key that is not revoked has this name, or there are MOST keys.
            DatabaseOperationError: The database failed.
        """
        label("name", name, spaces=True)
        if name.isdecimal():
            raise InvalidValue("name", f"{shown(name)} is a number, as ids are")
        if role not in KEY_ROLES:
            raise InvalidValue("role", f"{shown(role)} is not one of {', '.join(KEY_ROLES)}")
        secret = PREFIX + secrets.token_urlsafe(32)
        values: dict[str, Any] = {"name": name, "role": role, "sha256": digest(secret)}
        if expires_at is not None:
            values["expires_at"] = instant("expires_at", expires_at)
        async with self._transaction(f"creating the key {name}") as connection:
            if (await connection.scalar(sa.select(sa.func.count()).where(_LIVE)) or 0) >= MOST:
                raise Conflict(f"there are {MOST} keys already; revoke some")
            try:
                row = (await connection.execute(sa.insert(t).values(values).returning(*_COLUMNS))).one()
            except IntegrityError as error:
                raise Conflict(f"there is a key named {name} already; revoke it first") from error
        return Key(*row), secret

    async def all(self) -> list[Key]:
        """Every key there ever was, oldest first.

        Raises:
            DatabaseOperationError: The database failed.
        """
        async with self._transaction("reading keys") as connection:
            return [Key(*row) for row in await connection.execute(sa.select(*_COLUMNS).order_by(t.c.id))]

    async def live(self) -> dict[bytes, Key]:
        """The keys that are neither revoked nor expired, by their digest; the oldest MOST.

        Raises:
            DatabaseOperationError: The database failed.
        """
        query = sa.select(t.c.sha256, *_COLUMNS).where(_LIVE).order_by(t.c.id).limit(MOST)
        async with self._transaction("reading live keys") as connection:
            return {row[0]: Key(*row[1:]) for row in await connection.execute(query)}

    async def exist(self) -> bool:
        """Whether a key was ever created.

        Raises:
            DatabaseOperationError: The database failed.
        """
        async with self._transaction("looking for keys") as connection:
            return bool(await connection.scalar(sa.select(sa.exists().select_from(t))))

    async def revoke(self, which: str) -> Key | None:
        """Revoke the key of that id or name; None when there is none that is not revoked yet.

        Raises:
            DatabaseOperationError: The database failed.
        """
        is_id = which.isdecimal() and len(which) <= 18
        condition = t.c.id == int(which) if is_id else t.c.name == which
        statement = (
            sa.update(t)
            .where(condition, t.c.revoked_at.is_(None))
            .values(revoked_at=sa.func.now())
            .returning(*_COLUMNS)
        )
        async with self._transaction(f"revoking the key {which}") as connection:
            row: Sequence[Any] | None = (await connection.execute(statement)).first()
        return None if row is None else Key(*row)

    async def used(self, ids: Collection[int]) -> None:
        """Note that these keys are in use; at most once a minute each, however many processes say so.

        Raises:
            DatabaseOperationError: The database failed.
        """
        statement = sa.update(t).where(t.c.id.in_(ids), _USE_IS_OLD).values(last_used_at=sa.func.now())
        async with self._transaction(f"noting the use of {len(ids)} keys") as connection:
            await connection.execute(statement)
