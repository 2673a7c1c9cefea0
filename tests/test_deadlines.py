"""What takes too long is ended, in the database too."""

import asyncio

import pytest
import sqlalchemy as sa

from gql.deadline import Deadline, Late
from gql.limits import Limits
from repos.driver_errors import translated
from repos.errors import DatabaseTooSlow
from repos.hot import Hot
from repos.operations import DatabaseOperations
from tests.gql_server import WAIT, Client, an_app, graphql_ws, running
from tests.test_admission import ASKED, code

pytestmark = pytest.mark.anyio


async def test_an_operation_that_takes_too_long_is_ended_and_told(db, feed, monkeypatch):
    ended = []

    async def never(*_):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    monkeypatch.setattr(db.bots, "get_by_id", never)
    monkeypatch.setattr(db.bots, "delete", never)
    changing = 'mutation { deleteBot(id: "1") { deleted } }'
    app = an_app(db, feed, limits=Limits(seconds=0.05))
    async with running(app) as address, graphql_ws(address) as socket, Client(app) as client:
        answers = [await client.post(ASKED), await client.post(changing)]
        messages = []
        for query in (ASKED, changing):
            await socket.subscribe(query)
            messages.append(await socket.receive())

    for answer in answers:
        assert code(answer) == "DATABASE_UNAVAILABLE"
        assert "0.05 s" in answer["errors"][0]["message"]
    assert [(message["type"], code({"errors": message["payload"]})) for message in messages] == [
        ("error", "DATABASE_UNAVAILABLE")
    ] * 2
    assert len(ended) == 4


async def test_a_deadline_ends_what_is_late_and_nothing_else():
    deadline = Deadline(0.05)
    never = asyncio.Event()

    async def kept(work):
        return await deadline.kept(work)

    async def quick():
        return 1

    late = asyncio.create_task(kept(never.wait()))
    cancelled = asyncio.create_task(kept(never.wait()))
    await asyncio.sleep(0)
    results = [await kept(quick()) for _ in range(3)]
    cancelled.cancel()

    with pytest.raises(asyncio.CancelledError):
        await cancelled
    with pytest.raises(Late):
        await late
    assert results == [1, 1, 1]


async def test_a_statement_that_reads_too_long_is_cancelled_by_the_database(database_url, db):

    async with DatabaseOperations(database_url, read_timeout=0.05) as hasty:
        with pytest.raises(Exception, match="statement timeout") as caught:
            await hasty._wire.fetch(Hot(sa.select(sa.func.pg_sleep(10))), {})

    assert isinstance(translated("reading", caught.value), DatabaseTooSlow)


async def test_what_the_deadline_ends_ends_in_the_database_too(db, feed, monkeypatch):
    running = sa.text("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600%'")

    async def slow(_):
        async with db.engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(600 + 1)"))

    monkeypatch.setattr(db.bots, "get_by_id", slow)
    async with Client(an_app(db, feed, limits=Limits(seconds=0.2))) as client:
        answer = await client.post(ASKED)

    async with db.engine.connect() as connection, asyncio.timeout(WAIT):
        await connection.execution_options(isolation_level="AUTOCOMMIT")  # each statement sees what goes on now
        while (await connection.execute(running)).scalar_one() > 1:  # this statement is one of them
            await asyncio.sleep(0)
    assert code(answer) == "DATABASE_UNAVAILABLE"
