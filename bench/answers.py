"""The rows of the table that are questions over HTTP: ours against the floor and against plain Strawberry."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from statistics import median

import asyncpg
import httpx2

from bench.load import Load, load
from bench.questions import WARM, Question, questions, same
from bench.servers import Server, a_server
from bench.table import Row

_BEHIND = timedelta(minutes=2_500)
"""So far behind the newest, candles come from the database, whatever a server keeps in memory."""
_OF_PLAIN = 2
"""Connections that ask the plain server: they keep it busy, and one of its answers can take a second."""
PATH = "x-candleql-path"
"""The header that tells how our server answered; it says "fast" first when it did."""


class WrongAnswer(Exception):
    """A server does not answer what the floor answers, or not the way that is measured."""


async def measure(url: str, seconds: float, rounds: int) -> AsyncIterator[Row]:
    """A row for each question, in `rounds` of `seconds` on each server in turn."""
    async with a_server("floor", url) as floor, a_server("ours", url) as ours, a_server("plain", url) as plain:
        for question in questions(await past(url)):
            yield await _row(question, floor, ours, plain, seconds, rounds)


async def past(url: str) -> datetime:
    """An instant that lies behind what is kept in memory of any series."""
    connection = await asyncpg.connect(url)
    try:
        newest: datetime = await connection.fetchval("SELECT min(last_time) FROM series")
        return newest - _BEHIND
    finally:
        await connection.close()


async def _row(question: Question, floor: Server, ours: Server, plain: Server, seconds: float, rounds: int) -> Row:
    if question.is_hot:
        await _warm(ours)
    path = await _check(question, floor, ours, plain)
    ran: dict[str, list[tuple[Load, float]]] = {"floor": [], "ours": [], "plain": []}
    missed = await _missed(ours)
    for number in range(rounds):
        for server in (floor, ours, plain):
            if server is plain and number:
                continue
            asked = question.of_floor() if server is floor else question.asked()
            concurrency = _OF_PLAIN if server is plain else 16
            if not number:
                await load(server.port, asked, seconds / 4, concurrency)
            before = server.cpu()
            result = await load(server.port, asked, seconds, concurrency)
            ran[server.name].append((result, server.cpu() - before))
    if question.is_hot and await _missed(ours) > missed:
        raise WrongAnswer(f"{question.name}: it was read from the database")
    rates = {name: median(result.per_second for result, _ in runs) for name, runs in ran.items()}
    busy = {name: median(cpu / result.seconds for result, cpu in runs) for name, runs in ran.items()}
    note = f"CPU {busy['ours']:.0%} of a core, {1000 * busy['ours'] / rates['ours']:.2f} ms a request"
    note += f" (floor {1000 * busy['floor'] / rates['floor']:.2f}); p99 {ran['ours'][-1][0].p99:.0f} ms"
    if path:
        note += f"; {path}"
    return Row(question.name, rates["plain"], rates["floor"], rates["ours"], question.target, note)


async def _warm(server: Server) -> None:
    """Have our server keep the newest candles of all series in memory."""
    async with asyncio.timeout(60):
        while True:
            missed = await _missed(server)
            await load(server.port, WARM, 60, concurrency=1, count=len(WARM))
            if await _missed(server) == missed:
                return


async def _missed(server: Server) -> float:
    """Reads that our server's memory could not answer."""
    async with httpx2.AsyncClient() as client:
        shown = (await client.get(f"http://127.0.0.1:{server.port}/metrics")).text
    return float(shown.partition('candleql_window_reads_total{found="no"} ')[2].split("\n")[0])


async def _check(question: Question, floor: Server, ours: Server, plain: Server) -> str:
    """Raise unless all answer the same rows, and ours the fast way where it says so; how it answered, if it says."""
    path = ""
    async with httpx2.AsyncClient(timeout=60) as client:
        for variables in question.variables[:3]:
            address = f"http://127.0.0.1:{floor.port}{question.path}"
            expected = (await client.get(address, params=variables)).json()
            for server in (ours, plain):
                body = {"query": question.query, "variables": variables}
                response = await client.post(f"http://127.0.0.1:{server.port}/graphql", json=body)
                answer = response.json()
                if "errors" in answer or not same(answer["data"], expected, exact=server is ours):
                    raise WrongAnswer(f"{question.name}: {server.name} answers {str(answer)[:300]}")
                path = response.headers.get(PATH, "") if server is ours else path
    if path and not path.startswith("fast"):
        raise WrongAnswer(f"{question.name}: it left the fast path: {path}")
    return path
