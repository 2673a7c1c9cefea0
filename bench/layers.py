"""Where the time of a request goes: processor time of each layer, innermost first: python -m bench.layers URL.

All in one process on the first core; what uvicorn and the sockets take is the rest of a request's time in the table.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import uvloop

from bench.answers import past
from bench.cores import pin
from bench.database import SYMBOLS
from bench.questions import Question, questions
from candleql.logs import configure_logs
from candleql.server import settle
from gql.app import create_app
from gql.context import Context
from gql.limits import Limits
from gql.resources import Gate, Resources
from gql.schema import schema
from repos.arrays import filled
from repos.candle_queries import newest_statement, page_statement, pages_statement
from repos.candle_reader import AskedPage
from repos.domain import Series
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from repos.revisions import KEY
from repos.stored import micros

_ROUNDS = 7
_SECONDS = 0.15
_KEPT = ("1,000 candles, 8 fields", "latestCandle", "20 aliased series of 100")
Call = Callable[[], Awaitable[object]]


async def _main(url: str) -> None:
    end = await past(url)
    async with DatabaseOperations(url) as db, Feed(db) as feed:
        asked = {question.name: question for question in questions(end)}
        settle()
        print("| ms of processor time | driver | rows to pages | operation | ASGI |\n|---|---|---|---|---|")
        for name in _KEPT:
            layers = _layers(asked[name], db, feed, end)
            took = [await _least(call) for call in layers]
            steps = [after - before for before, after in zip([0.0, *took], took, strict=False)]
            print(f"| {name} | {' | '.join(f'{step:.3f}' for step in steps)} |", flush=True)


def _layers(question: Question, db: DatabaseOperations, feed: Feed, end: datetime) -> list[Call]:
    """Each does what the one before does, and more."""
    series = [Series.of("okx", symbol, "1m") for symbol in SYMBOLS]
    reader, wire = db.market_data.stored, db._wire  # noqa: SLF001 -- the driver's part has no other door
    ends = frozenset(["end"])
    driver: Call
    rows: Call
    if question.name == "latestCandle":
        driver = lambda: wire.fetch(newest_statement(), series[0]._asdict())  # noqa: E731
        rows = lambda: reader.newest(series[:1])  # noqa: E731
    elif question.name.startswith("20"):
        pages = [AskedPage.of(key, end=end, last=100) for key in series]
        many = filled(["place", *KEY, "limit", "end"], [(n, *key, 100, micros(end)) for n, key in enumerate(series)])
        driver = lambda: wire.fetch(pages_statement(ends, True), many)  # noqa: E731
        rows = lambda: reader.pages(pages)  # noqa: E731
    else:
        page = AskedPage.of(series[0], end=end, last=1_000)
        one = series[0]._asdict() | {"limit": 1_000, "end": micros(end)}
        driver = lambda: wire.fetch(page_statement(ends, True), one)  # noqa: E731
        rows = lambda: reader.pages([page])  # noqa: E731
    gate = Gate(schema)
    operation = gate.documents.read(question.query).choose(None).compiled()
    resources = Resources(db, feed, timedelta(minutes=1), gate)

    async def answer() -> bytes:
        return orjson.dumps((await operation.answer(Context(resources), question.variables[0])).data)

    return [driver, rows, answer, _asgi(db, feed, question)]


def _asgi(db: DatabaseOperations, feed: Feed, question: Question) -> Call:
    unlimited = Limits(points_a_minute=0)
    app = create_app(db, feed, bot_heartbeat_timeout=timedelta(minutes=1), limits=unlimited)
    body = orjson.dumps({"query": question.query, "variables": question.variables[0]})
    scope = {
        "type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"the question was refused: {message}")

    return lambda: app(dict(scope), receive, send)


async def _least(call: Call) -> float:
    """The least of some rounds, in ms a call."""
    await call()
    least = float("inf")
    for _ in range(_ROUNDS):
        count, begun, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() < begun + _SECONDS:
            await call()
            count += 1
        least = min(least, (time.process_time() - cpu) / count * 1000)
    return least


async def show(url: str) -> None:
    """Print it, from a process of its own."""
    await (await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.layers", url)).wait()


if __name__ == "__main__":
    pin(0)
    configure_logs("error", "console")
    uvloop.run(_main(*sys.argv[1:]))
