"""API keys as they are stored."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gql.roles import Role
from repos.domain import InvalidValue
from repos.errors import Conflict
from repos.keys import digest
from repos.tables import KEY_ROLES, api_keys

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def age(db, **columns):
    """Set columns of all keys."""
    async with db.engine.begin() as connection:
        await connection.execute(sa.update(api_keys).values(**columns))


async def stored(db):
    async with db.engine.connect() as connection:
        return (await connection.execute(sa.select(api_keys))).mappings().all()


async def test_of_a_key_only_its_sha_256_is_stored(db):
    key, secret = await db.keys.create("dashboard", "viewer")

    [row] = await stored(db)

    assert secret.startswith("cql_")
    assert len(secret) == len("cql_") + 43  # 256 bits
    assert row["sha256"] == digest(secret)
    assert secret not in repr(row)
    assert (key.id, key.name, key.role) == (1, "dashboard", "viewer")
    assert (key.expires_at, key.last_used_at, key.revoked_at) == (None, None, None)


async def test_no_two_keys_are_alike(db):
    secrets = {(await db.keys.create(f"key {number}", "viewer"))[1] for number in range(10)}

    assert len(secrets) == 10


async def test_the_log_tells_no_secret(logging_db, caplog):
    _, secret = await logging_db.keys.create("dashboard", "viewer")

    assert secret not in caplog.text


@pytest.mark.parametrize(
    ("name", "role", "wrong"),
    [
        pytest.param("", "viewer", "name", id="no name"),
        pytest.param("n" * 65, "viewer", "name", id="a long name"),
        pytest.param("a\x00b", "viewer", "name", id="a NUL"),
        pytest.param("12", "viewer", "name", id="a name like an id"),
        pytest.param("x", "boss", "role", id="no role"),
    ],
)
async def test_what_is_wrong_is_refused_by_its_name(db, name, role, wrong):
    with pytest.raises(InvalidValue) as raised:
        await db.keys.create(name, role)

    assert raised.value.name == wrong
    assert await stored(db) == []


async def test_a_name_is_taken_until_its_key_is_revoked(db):
    first, _ = await db.keys.create("bot", "trader")

    with pytest.raises(Conflict, match="there is a key named bot already"):
        await db.keys.create("bot", "viewer")
    await db.keys.revoke("bot")
    second, _ = await db.keys.create("bot", "viewer")

    assert [(key.id, key.role) for key in await db.keys.all()] == [(first.id, "trader"), (second.id, "viewer")]


async def test_live_keys_are_those_neither_revoked_nor_expired(db):
    now = datetime.now(UTC)
    kept = {(await db.keys.create("for ever", "viewer"))[1], (await db.keys.create("today", "admin", now + HOUR))[1]}
    await db.keys.create("over", "viewer", now - HOUR)
    await db.keys.create("lost", "viewer")
    await db.keys.revoke("lost")

    live = await db.keys.live()

    assert live.keys() == {digest(secret) for secret in kept}
    assert {key.name for key in live.values()} == {"for ever", "today"}
    assert len(await db.keys.all()) == 4


async def test_a_key_is_revoked_once_by_its_id_or_by_its_name(db):
    first, _ = await db.keys.create("one", "viewer")
    await db.keys.create("two", "viewer")

    by_id, by_name = await db.keys.revoke(str(first.id)), await db.keys.revoke("two")
    again, unknown = await db.keys.revoke("two"), await db.keys.revoke("9" * 30)

    assert by_id is not None
    assert by_name is not None
    assert (by_id.name, by_name.name) == ("one", "two")
    assert by_id.revoked_at is not None
    assert (again, unknown) == (None, None)
    assert await db.keys.live() == {}


async def test_that_there_was_a_key_is_remembered_after_it_was_revoked(db):
    before = await db.keys.exist()
    await db.keys.create("one", "viewer")
    await db.keys.revoke("one")

    assert (before, await db.keys.exist()) == (False, True)


async def test_use_is_written_at_most_once_a_minute_however_many_say_so(db):
    key, _ = await db.keys.create("one", "viewer")
    other, _ = await db.keys.create("other", "viewer")

    await asyncio.gather(*(db.keys.used([key.id]) for _ in range(5)))
    first = (await db.keys.all())[0].last_used_at
    await db.keys.used([key.id])
    second = (await db.keys.all())[0].last_used_at
    await age(db, last_used_at=datetime.now(UTC) - timedelta(seconds=61))
    await db.keys.used([key.id])
    third, unused = await db.keys.all()

    assert first is not None
    assert first == second
    assert third.last_used_at is not None
    assert third.last_used_at >= first
    assert unused.id == other.id
    assert unused.last_used_at is not None
    assert unused.last_used_at < first


def test_the_roles_of_keys_are_those_that_graphql_knows():
    assert tuple(Role) == KEY_ROLES
