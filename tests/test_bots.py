import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from repos.domain import Bot, BotStatus, InvalidValue
from repos.errors import Conflict
from repos.events import BotEventKind
from repos.feed.news import BotNews, News
from repos.operations import DatabaseOperations
from tests.builders import NOON

pytestmark = pytest.mark.anyio


def a_bot(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Trend follower",
        "strategy_name": "Simple MACD",
        "symbol": "BTC-USDT",
        "timeframe": "60m",
    } | changes


async def add(db: DatabaseOperations, *names: str, **changes: Any) -> list[Bot]:
    return [await db.bots.add(a_bot(name=name, **changes)) for name in names]


@asynccontextmanager
async def heard(db: DatabaseOperations, count: int) -> AsyncIterator[list[News]]:
    """The news that the block causes; waits for so many at its end."""
    news: asyncio.Queue[News] = asyncio.Queue()
    ready = asyncio.Event()
    found: list[News] = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(db.bus.listen(news.put_nowait, ready.set, asyncio.Event(), lambda _: True))
        await ready.wait()
        yield found
        found += [await news.get() for _ in range(count)]
        listening.cancel()


async def test_a_new_bot_has_these_defaults(db: DatabaseOperations) -> None:
    bot = await db.bots.add(a_bot())

    assert (bot.id, bot.version, bot.exchange, bot.timeframe) == (1, 1, "okx", "1h")
    assert (bot.status, bot.virtual_balance, bot.config, bot.last_heartbeat) == (
        BotStatus.INACTIVE,
        Decimal(0),
        {},
        None,
    )
    assert await db.bots.get_by_id(bot.id) == await db.bots.get_by_name("Trend follower") == bot


async def test_a_bot_keeps_what_it_was_given(db: DatabaseOperations) -> None:
    config = {"fast": 12, "ratio": 0.1, "pairs": ["BTC-USDT", None, True], "nested": {"ü": "\\u0000 \n"}}
    given = a_bot(exchange="okx-eu", status=BotStatus.PAUSED, virtual_balance="10000.000000000000000001", config=config)

    bot = await db.bots.add(given)

    assert bot.virtual_balance == Decimal("10000.000000000000000001")
    assert (bot.exchange, bot.status, bot.config) == ("okx-eu", BotStatus.PAUSED, config)


@pytest.mark.parametrize(
    ("changes", "name", "problem"),
    [
        pytest.param({"name": ""}, "name", "not 1 to 128 printable characters", id="empty name"),
        pytest.param({"name": "x" * 129}, "name", "not 1 to 128", id="long name"),
        pytest.param({"name": "a\0b"}, "name", "printable", id="NUL in a name"),
        pytest.param({"name": 7}, "name", "7 is not a string", id="number as a name"),
        pytest.param({"symbol": "BTC USDT"}, "symbol", "without spaces", id="space in a symbol"),
        pytest.param({"timeframe": "soon"}, "timeframe", "count and a unit", id="timeframe"),
        pytest.param({"timeframe": None}, "timeframe", "None is not a string", id="no timeframe"),
        pytest.param({"status": "busy"}, "status", "not one of inactive, active, paused, error", id="status"),
        pytest.param({"virtual_balance": float("nan")}, "virtual_balance", "nan is not finite", id="balance NaN"),
        pytest.param({"virtual_balance": 1e-19}, "virtual_balance", "more than 18 digits after", id="fine balance"),
        pytest.param({"virtual_balance": None}, "virtual_balance", "not a decimal", id="no balance"),
        pytest.param({"config": [1]}, "config", "not a JSON object", id="config of another kind"),
        pytest.param({"config": {"a": {"b": ["\0"]}}}, "config", "NUL", id="NUL deep in a config"),
        pytest.param({"config": {"\0": 1}}, "config", "NUL", id="NUL in a key"),
        pytest.param({"config": {"a": float("nan")}}, "config", "not a number in JSON", id="NaN"),
        pytest.param({"config": {"a": NOON}}, "config", "no form", id="a date"),
        pytest.param({"config": {"a": object()}}, "config", "not JSON", id="an object"),
        pytest.param({"config": {"a": "x" * 65536}}, "config", "more than 65536", id="large config"),
        pytest.param({"last_heartbeat": "now"}, "last_heartbeat", "not a datetime", id="heartbeat"),
        pytest.param({"last_heartbeat": datetime(2024, 1, 1)}, "last_heartbeat", "offset", id="naive heartbeat"),  # noqa: DTZ001
        pytest.param({"colour": "red"}, "colour", "no such field; it has name, strategy_name", id="unknown field"),
        pytest.param({"id": 7}, "id", "no such field", id="a field that is ours to set"),
    ],
)
async def test_a_wrong_field_is_named(db: DatabaseOperations, changes: dict[str, Any], name: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem) as raised:
        await db.bots.add(a_bot(**changes))

    assert raised.value.name == name
    assert await db.bots.count() == 0


async def test_a_missing_field_is_named(db: DatabaseOperations) -> None:
    with pytest.raises(InvalidValue, match="strategy_name: it is missing"):
        await db.bots.add({"name": "Half a bot"})


async def test_two_bots_never_share_a_name(db: DatabaseOperations) -> None:
    first, second = await add(db, "one", "two")

    with pytest.raises(Conflict, match="name"):
        await db.bots.add(a_bot(name="one"))
    with pytest.raises(Conflict, match="name"):
        await db.bots.update(second.id, {"name": "one"})

    assert await db.bots.update(first.id, {"name": "one"}) is not None


async def test_a_heartbeat_from_the_future_is_refused(db: DatabaseOperations) -> None:
    [bot] = await add(db, "one")

    with pytest.raises(InvalidValue, match="more than a minute ahead") as raised:
        await db.bots.update(bot.id, {"last_heartbeat": datetime.now(UTC) + timedelta(seconds=70)})

    assert raised.value.name == "last_heartbeat"
    assert await db.bots.get_by_id(bot.id) == bot


async def test_an_update_changes_the_given_fields_alone(db: DatabaseOperations) -> None:
    [before] = await add(db, "one", config={"fast": 12})

    after = await db.bots.update(before.id, {"status": "active", "last_heartbeat": NOON, "config": None})

    assert after is not None
    assert (after.status, after.last_heartbeat, after.config, after.version) == (BotStatus.ACTIVE, NOON, {}, 2)
    assert (after.name, after.timeframe, after.created_at) == (before.name, before.timeframe, before.created_at)
    assert after.updated_at > before.updated_at
    assert await db.bots.get_by_id(before.id) == after


async def test_an_update_of_nothing_leaves_the_bot_as_it_is(db: DatabaseOperations) -> None:
    [bot] = await add(db, "one")

    assert await db.bots.update(bot.id, {}, expected_version=1) == bot


async def test_an_update_of_a_version_that_is_gone_is_refused(db: DatabaseOperations) -> None:
    [bot] = await add(db, "one")
    await db.bots.update(bot.id, {"status": "active"}, expected_version=1)

    with pytest.raises(Conflict, match="is at version 2, not 1"):
        await db.bots.update(bot.id, {"status": "error"}, expected_version=1)

    unchanged = await db.bots.get_by_id(bot.id)
    assert unchanged is not None
    assert unchanged.status is BotStatus.ACTIVE


async def test_of_two_updates_of_one_version_one_is_refused(db: DatabaseOperations) -> None:
    [bot] = await add(db, "one")

    updates = (db.bots.update(bot.id, {"config": {"by": n}}, expected_version=1) for n in range(2))
    results = await asyncio.gather(*updates, return_exceptions=True)

    assert {type(result) for result in results} == {Bot, Conflict}


async def test_what_is_not_there_is_none_or_false(db: DatabaseOperations) -> None:
    assert await db.bots.get_by_id(1) is None
    assert await db.bots.get_by_name("nobody") is None
    assert await db.bots.update(1, {"status": "active"}) is None
    assert await db.bots.record_heartbeat(1) is None
    assert await db.bots.delete(1) is False


async def test_a_heartbeat_leaves_the_version(db: DatabaseOperations) -> None:
    [bot] = await add(db, "one")

    beaten = await db.bots.record_heartbeat(bot.id)

    assert beaten is not None
    assert beaten.last_heartbeat is not None
    assert (beaten.version, beaten.updated_at) == (bot.version, bot.updated_at)


async def test_silent_bots_are_those_that_is_stale_says(db: DatabaseOperations) -> None:
    now, timeout = datetime.now(UTC), timedelta(minutes=1)
    long_ago = now - timedelta(hours=1)
    await add(db, "silent", status="active", last_heartbeat=long_ago)
    await add(db, "alive", status="active", last_heartbeat=now)
    await add(db, "young", status="active")
    await add(db, "resting", last_heartbeat=long_ago)

    silent = await db.bots.silent(now - timeout)

    assert [bot.name for bot in silent] == ["silent"]
    assert silent == [bot for bot in (await db.bots.page()).rows if bot.is_stale(now, timeout)]


async def test_pages_hold_every_bot_once_in_both_directions(db: DatabaseOperations) -> None:
    bots = await add(db, "a", "b", "c", "d", "e")
    ids = [bot.id for bot in bots]

    first = await db.bots.page(first=2)
    second = await db.bots.page(first=2, after=first.rows[-1].id)
    third = await db.bots.page(first=2, after=second.rows[-1].id)
    last = await db.bots.page(last=2)
    middle = await db.bots.page(last=2, before=last.rows[0].id)

    assert [bot.id for page in (first, second, third) for bot in page.rows] == ids
    assert [(page.has_previous, page.has_next) for page in (first, second, third)] == [
        (False, True), (True, True), (True, False),
    ]  # fmt: skip
    assert [bot.id for bot in last.rows] == ids[3:]
    assert (last.has_previous, last.has_next) == (True, False)
    assert [bot.id for bot in middle.rows] == ids[1:3]
    assert (middle.has_previous, middle.has_next) == (True, True)


async def test_pages_and_counts_can_be_narrowed(db: DatabaseOperations) -> None:
    await add(db, "a", status="active")
    await add(db, "b", "c", status="active", symbol="ETH-USDT")
    await add(db, "d", symbol="ETH-USDT")

    page = await db.bots.page(status=BotStatus.ACTIVE, symbol="ETH-USDT", first=1)

    assert [bot.name for bot in page.rows] == ["b"]
    assert page.has_next
    assert await db.bots.count(BotStatus.ACTIVE, "ETH-USDT") == 2
    assert await db.bots.count() == 4


async def test_every_change_is_news_that_carries_the_bot(db: DatabaseOperations) -> None:
    async with heard(db, 4) as news:
        [made] = await add(db, "one", config={"text": "ü" * 10_000})
        updated = await db.bots.update(made.id, {"status": "active"})
        beaten = await db.bots.record_heartbeat(made.id)
        await db.bots.delete(made.id)

    kinds = [BotEventKind.CREATED, BotEventKind.UPDATED, BotEventKind.UPDATED, BotEventKind.DELETED]
    bots = [made, updated, beaten, beaten]
    assert news == [BotNews(kind, bot) for kind, bot in zip(kinds, bots, strict=True) if bot]


async def test_a_balance_below_zero_is_refused(db):
    data = {"name": "b", "strategy_name": "s", "symbol": "X", "timeframe": "1m"}
    with pytest.raises(InvalidValue, match="at least 0"):
        await db.bots.add(data | {"virtual_balance": Decimal(-1)})

    bot = await db.bots.add(data | {"virtual_balance": Decimal(0)})
    with pytest.raises(InvalidValue, match="at least 0"):
        await db.bots.update(bot.id, {"virtual_balance": Decimal("-0.01")})
