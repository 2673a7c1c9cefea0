"""Bots over the API: pages, changes, conflicts and candles in batches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from repos.feed import receiver
from repos.feed.hub import Feed
from tests.builders import MINUTE, NOON, a_candle
from tests.conftest import selects
from tests.gql_server import Client, Socket, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

CREATE = "mutation ($input: CreateBotInput!) { createBot(input: $input) { bot { id name status config version } } }"
UPDATE = """
mutation ($id: ID!, $input: UpdateBotInput!, $version: Int) {
  updateBot(id: $id, input: $input, expectedVersion: $version) {
    bot { name strategyName symbol timeframe status virtualBalance config lastHeartbeat isStale version }
  }
}
"""


def a_bot(**changes):
    values = {
        "name": "Mean Reverter",
        "strategyName": "mean",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "virtualBalance": "1000.10",
    }
    return values | changes


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


async def test_a_bot_is_created_found_and_deleted(client):
    made = (await client.ask(CREATE, input=a_bot(config={"window": 5})))["createBot"]["bot"]

    found = await client.ask(
        """query ($id: ID!) {
             bot(id: $id) { name exchange virtualBalance lastHeartbeat isStale createdAt updatedAt }
             botByName(name: "Mean Reverter") { id }
             bots { totalCount }
           }""",
        id=made["id"],
    )
    gone = await client.ask(
        """mutation ($id: ID!) { a: deleteBot(id: $id) { deleted } b: deleteBot(id: $id) { deleted } }""",
        id=made["id"],
    )

    assert made | {"id": ""} == {
        "id": "",
        "name": "Mean Reverter",
        "status": "INACTIVE",
        "config": {"window": 5},
        "version": 1,
    }
    assert found["bot"]["createdAt"] == found["bot"].pop("updatedAt")
    assert found["bot"].pop("createdAt").endswith("Z")
    assert found["bot"] == {
        "name": "Mean Reverter",
        "exchange": "okx",
        "virtualBalance": "1000.10",
        "lastHeartbeat": None,
        "isStale": False,
    }
    assert found["botByName"] == {"id": made["id"]}
    assert found["bots"] == {"totalCount": "1"}
    assert gone == {"a": {"deleted": True}, "b": {"deleted": False}}


async def test_what_is_not_there_is_null_or_not_found(client):
    nothing = await client.ask('{ bot(id: "7") { id } botByName(name: "nobody") { id } }')
    update = await client.refused(UPDATE, id="7", input={"name": "x"})
    heartbeat = await client.refused('mutation { recordHeartbeat(botId: "7") { bot { id } } }')

    assert nothing == {"bot": None, "botByName": None}
    assert update == heartbeat == ("NOT_FOUND", "There is no bot with the id 7")


async def test_only_the_given_fields_change_and_null_clears_what_it_may(client):
    id_ = (await client.ask(CREATE, input=a_bot(config={"a": 1})))["createBot"]["bot"]["id"]

    changed = await client.ask(
        UPDATE,
        id=id_,
        version=1,
        input={"status": "ACTIVE", "timeframe": "60s", "lastHeartbeat": "2020-01-01T00:00:00Z"},
    )
    cleared = await client.ask(UPDATE, id=id_, input={"config": None, "lastHeartbeat": None})
    alive = await client.ask(
        "mutation ($id: ID!) { recordHeartbeat(botId: $id) { bot { lastHeartbeat isStale version } } }", id=id_
    )

    assert changed["updateBot"]["bot"] == {
        "name": "Mean Reverter",
        "strategyName": "mean",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "status": "ACTIVE",
        "virtualBalance": "1000.10",
        "config": {"a": 1},
        "lastHeartbeat": "2020-01-01T00:00:00.000Z",
        "isStale": True,
        "version": 2,
    }
    assert cleared["updateBot"]["bot"]["config"] == {}
    assert cleared["updateBot"]["bot"]["lastHeartbeat"] is None
    assert alive["recordHeartbeat"]["bot"]["lastHeartbeat"] is not None
    assert alive["recordHeartbeat"]["bot"]["isStale"] is False


async def test_null_for_what_a_bot_can_not_lack_means_left_out(client):
    made = await client.ask(CREATE, input=a_bot(status="PAUSED", config={"a": 1}))
    unset = dict.fromkeys(("name", "strategyName", "symbol", "timeframe", "status", "virtualBalance"))

    updated = await client.ask(
        UPDATE, id=made["createBot"]["bot"]["id"], version=None, input=unset | {"lastHeartbeat": "2020-01-01T00:00:00Z"}
    )
    listed = await client.ask("{ bots(status: null, symbol: null, first: null, after: null) { totalCount } }")

    assert updated["updateBot"]["bot"] == {
        "name": "Mean Reverter",
        "strategyName": "mean",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "status": "PAUSED",
        "virtualBalance": "1000.10",
        "config": {"a": 1},
        "lastHeartbeat": "2020-01-01T00:00:00.000Z",
        "isStale": False,
        "version": 2,
    }
    assert listed == {"bots": {"totalCount": "1"}}


async def test_a_list_tells_which_active_bots_are_silent(client):
    for name, heartbeat in (("silent", "2020-01-01T00:00:00Z"), ("young", None)):
        id_ = (await client.ask(CREATE, input=a_bot(name=name, status="ACTIVE")))["createBot"]["bot"]["id"]
        await client.ask(UPDATE, id=id_, input={"lastHeartbeat": heartbeat})

    bots = (await client.ask("{ bots { nodes { name isStale } } }"))["bots"]["nodes"]

    assert bots == [{"name": "silent", "isStale": True}, {"name": "young", "isStale": False}]


async def test_a_taken_name_and_an_old_version_conflict(client):
    await client.ask(CREATE, input=a_bot())
    other = (await client.ask(CREATE, input=a_bot(name="Other")))["createBot"]["bot"]["id"]

    taken, _ = await client.refused(CREATE, input=a_bot())
    renamed, _ = await client.refused(UPDATE, id=other, input={"name": "Mean Reverter"})
    outdated, message = await client.refused(UPDATE, id=other, version=9, input={"status": "PAUSED"})

    assert (taken, renamed, outdated) == ("CONFLICT", "CONFLICT", "CONFLICT")
    assert "version" in message


async def test_bots_come_in_pages_both_ways(client):
    for number in range(5):
        await client.ask(CREATE, input=a_bot(name=f"bot {number}", status="ACTIVE" if number else "PAUSED"))
    query = """
        query ($first: Int, $after: String, $last: Int, $before: String) {
          bots(status: ACTIVE, symbol: "BTC-USDT", first: $first, after: $after, last: $last, before: $before) {
            nodes { name } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
          }
        }"""

    def names(page):
        return [node["name"] for node in page["nodes"]]

    whole = (await client.ask(query))["bots"]
    first = (await client.ask(query, first=3))["bots"]
    rest = (await client.ask(query, after=first["pageInfo"]["endCursor"]))["bots"]
    ahead = (await client.ask(query, before=whole["edges"][2]["cursor"]))["bots"]
    last = (await client.ask(query, last=1))["bots"]

    assert names(whole) == ["bot 1", "bot 2", "bot 3", "bot 4"]
    assert names(first) == ["bot 1", "bot 2", "bot 3"]
    assert (first["pageInfo"]["hasNextPage"], first["totalCount"]) == (True, "4")
    assert names(rest) == ["bot 4"]
    assert names(ahead) == ["bot 1", "bot 2"]
    assert names(last) == ["bot 4"]
    assert (last["pageInfo"]["hasPreviousPage"], last["pageInfo"]["hasNextPage"]) == (True, False)


async def test_the_latest_candles_of_all_bots_take_one_statement(client, db, logging_db, feed, caplog):
    await db.market_data.upsert_candles([a_candle(), a_candle(start_time=NOON + MINUTE), a_candle(symbol="ETH-USDT")])
    for number, symbol in enumerate(["BTC-USDT", "ETH-USDT", "BTC-USDT", "SOL-USDT"]):
        await client.ask(CREATE, input=a_bot(name=f"bot {number}", symbol=symbol))

    async with Client(an_app(logging_db, feed)) as asking:
        data = await asking.ask("{ bots { nodes { symbol latestCandle { startTime symbol } } } }")

    latest = [(node["symbol"], node["latestCandle"]) for node in data["bots"]["nodes"]]
    newest = {"startTime": "2024-01-01T12:01:00.000Z", "symbol": "BTC-USDT"}
    assert latest == [
        ("BTC-USDT", newest),
        ("ETH-USDT", {"startTime": "2024-01-01T12:00:00.000Z", "symbol": "ETH-USDT"}),
        ("BTC-USDT", newest),
        ("SOL-USDT", None),
    ]
    assert len([text for text in selects(caplog) if "market_data" in text]) == 1


BAD = [
    ('{ bot(id: "abc") { id } }', "id: "),
    ('{ bot(id: "-1") { id } }', "id: "),
    ("{ bot(id: 99999999999999999999) { id } }", "id: "),
    (r'{ botByName(name: "nul\u0000") { id } }', "name: "),
    ("{ bots(status: SLEEPING) { totalCount } }", "status: "),
    (r'{ bots(symbol: "\u0000") { totalCount } }', "symbol: "),
    ('{ bots(symbol: "") { totalCount } }', "symbol: "),
    ("{ bots(first: 10001) { totalCount } }", "first: "),
    ("{ bots(last: -1) { totalCount } }", "last: "),
    ("{ bots(first: 1, last: 1) { totalCount } }", "last: "),
    ('{ bots(after: "eyJ9") { totalCount } }', "after: "),
    ('mutation { recordHeartbeat(botId: "") { bot { id } } }', "botId: "),
    ('mutation { deleteBot(id: "x") { deleted } }', "id: "),
    ('mutation { updateBot(id: "x", input: {}) { bot { id } } }', "id: "),
    ('mutation { updateBot(id: "1", input: {strategyName: ""}) { bot { id } } }', "input.strategyName: "),
    ('mutation { updateBot(id: "1", input: {virtualBalance: 1.5}) { bot { id } } }', "input.virtualBalance: "),
    ('mutation { updateBot(id: "1", input: {config: [1]}) { bot { id } } }', "input.config: "),
    (r'mutation { updateBot(id: "1", input: {config: {a: "\u0000"}}) { bot { id } } }', "input.config: "),
]


async def test_every_mistake_is_named(client):
    for query, start in BAD:
        code, message = await client.refused(query)

        assert code == "BAD_USER_INPUT", query
        assert message.startswith(start), query


async def test_every_bad_bot_is_refused_by_the_name_of_its_field(client):
    for changes in ({"name": "nul\0"}, {"name": "x" * 129}, {"symbol": ""}, {"exchange": " "}, {"config": "text"}):
        code, message = await client.refused(CREATE, input=a_bot(**changes))

        assert code == "BAD_USER_INPUT", changes
        assert message.startswith(f"input.{next(iter(changes))}: "), changes


OVERDUE = timedelta(seconds=0.8)
HEARTBEAT = "mutation ($id: ID!) { recordHeartbeat(botId: $id) { bot { lastHeartbeat } } }"
SUBSCRIBE = "subscription { bots { kind bot { id name isStale version } } }"


@asynccontextmanager
async def following(feed: Feed, app, count: int = 1) -> AsyncIterator[list[Socket]]:
    """So many clients that follow the bots."""
    async with running(app) as address, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(graphql_ws(address)) for _ in range(count)]
        for client in clients:
            await client.subscribe(SUBSCRIBE)
        async with asyncio.timeout(10):
            while feed.topics.followers < count:
                await asyncio.sleep(0)
        yield clients


async def heard(client: Socket, count: int):
    events = [(await client.event())["bots"] for _ in range(count)]
    assert all(event["bot"]["isStale"] for event in events if event["kind"] == "STALE")
    return [(event["kind"], event["bot"]["name"]) for event in events]


@pytest.fixture
async def impatient(db, monkeypatch) -> AsyncIterator[Feed]:
    """A feed that looks all the time, and for which a bot is OVERDUE soon."""
    monkeypatch.setattr(receiver, "TICK", 0.05)
    async with Feed(db, bot_heartbeat_timeout=OVERDUE) as feed:
        yield feed


async def test_an_overdue_heartbeat_is_told_once_and_again_when_the_bot_has_come_back_and_fallen_silent(db, impatient):
    app = an_app(db, impatient, bot_heartbeat_timeout=OVERDUE)
    async with Client(app) as client, following(impatient, app) as [follower]:
        one = (await client.ask(CREATE, input=a_bot(name="One", status="ACTIVE")))["createBot"]["bot"]["id"]
        await client.ask(HEARTBEAT, id=one)
        first = await heard(follower, 3)
        await client.ask(UPDATE, id=one, input={"name": "1"})
        # When this one is overdue many a look has found the other so.
        await client.ask(CREATE, input=a_bot(name="Two", status="ACTIVE"))
        then = await heard(follower, 3)
        await client.ask(HEARTBEAT, id=one)
        again = await heard(follower, 2)

    assert first == [("CREATED", "One"), ("UPDATED", "One"), ("STALE", "One")]
    assert then == [("UPDATED", "1"), ("CREATED", "Two"), ("STALE", "Two")]
    assert again == [("UPDATED", "1"), ("STALE", "1")]


async def test_a_bot_that_was_overdue_before_the_server_started_is_told_to_the_first_who_follows(db, impatient):
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    fields = {"strategy_name": "mean", "symbol": "BTC-USDT", "timeframe": "1m", "last_heartbeat": long_ago}
    await db.bots.add(fields | {"name": "Forgotten", "status": "active"})
    await db.bots.add(fields | {"name": "Asleep", "status": "paused"})

    async with following(impatient, an_app(db, impatient)) as [follower]:
        events = await heard(follower, 1)

    assert events == [("STALE", "Forgotten")]


async def test_of_two_writers_of_one_version_one_wins_and_one_gets_a_conflict_and_all_hear_of_one_change(db, feed):
    app = an_app(db, feed)
    async with Client(app) as client, following(feed, app, 2) as followers:
        bot = (await client.ask(CREATE, input=a_bot()))["createBot"]["bot"]
        changes = [{"status": status} for status in ("PAUSED", "ERROR")]
        answers = await asyncio.gather(*(client.post(UPDATE, id=bot["id"], version=1, input=each) for each in changes))
        await client.ask("mutation ($id: ID!) { deleteBot(id: $id) { deleted } }", id=bot["id"])
        events = [[(await follower.event())["bots"] for _ in range(3)] for follower in followers]

    [refused] = [error["extensions"]["code"] for answer in answers for error in answer.get("errors", [])]
    [won] = [answer["data"]["updateBot"]["bot"] for answer in answers if "errors" not in answer]
    assert refused == "CONFLICT"
    assert won["version"] == 2
    for heard_by_one in events:
        told = [(event["kind"], event["bot"]["version"]) for event in heard_by_one]
        assert told == [("CREATED", 1), ("UPDATED", 2), ("DELETED", 2)]


async def test_a_heartbeat_takes_id_or_the_deprecated_bot_id_and_one_of_them_alone(client):
    id_ = (await client.ask(CREATE, input=a_bot()))["createBot"]["bot"]["id"]
    mutation = "mutation ($id: ID, $botId: ID) { recordHeartbeat(id: $id, botId: $botId) { bot { id version } } }"

    new = await client.ask(mutation, id=id_)
    old = await client.ask(mutation, botId=id_)
    nulls = await client.ask(mutation, id=id_, botId=None)
    both = await client.refused(mutation, id=id_, botId=id_)
    none = await client.refused("mutation { recordHeartbeat { bot { id } } }")

    assert [each["recordHeartbeat"]["bot"]["id"] for each in (new, old, nulls)] == [id_] * 3
    assert both == ("BAD_USER_INPUT", "id: give the bot's id once, here or as botId")
    assert none == ("BAD_USER_INPUT", "id: it is missing")
    assert (await client.refused('mutation { recordHeartbeat(id: "x") { bot { id } } }'))[1].startswith("id: ")


async def test_a_heartbeat_may_be_a_minute_ahead_of_the_clock_and_no_more(client):
    id_ = (await client.ask(CREATE, input=a_bot()))["createBot"]["bot"]["id"]
    near, far = ((datetime.now(UTC) + timedelta(seconds=ahead)).isoformat() for ahead in (50, 70))

    code, message = await client.refused(UPDATE, id=id_, input={"lastHeartbeat": far})
    taken = await client.ask(UPDATE, id=id_, input={"lastHeartbeat": near})

    assert code == "BAD_USER_INPUT"
    assert message.startswith("input.lastHeartbeat: ")
    assert "more than a minute ahead of the clock" in message
    assert taken["updateBot"]["bot"]["version"] == 2
