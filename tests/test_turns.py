"""Others are answered while one client floods an HTTP connection, and little is kept of what it says."""

import asyncio
import gc
from functools import partial

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gql.limits import Limits
from gql.turns import Turns
from tests.gql_server import WAIT, an_app, connected, running, said_to
from tests.test_gql_endings import BODY, POST

pytestmark = pytest.mark.anyio

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = GET[:-2] + b"Connection: close\r\n\r\n"
CHUNKED = POST.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")


async def test_a_head_is_refused_at_its_101st_header_and_not_at_its_end(db, feed):
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, GET[:-2] + b"a: b\r\n" * 101)

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_of_100_headers_is_none_too_many(db, feed):
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, LAST[:-2] + b"a: b\r\n" * 98 + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("cut", [len(GET) * 3, 1_000, 7, len(GET) - 1])
async def test_of_thousands_of_requests_at_once_two_are_looked_at_until_the_first_is_answered(cut):
    number, hold = 3_000, asyncio.Event()

    async def app(scope, receive, send):
        await hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with running(app) as address:
        reader, writer = await connected(address)
        words = GET * number + LAST
        writer.write(words[:cut])
        await writer.drain()
        writer.write(words[cut:])
        for _ in range(1_000):  # it has had its chance to read on
            await asyncio.sleep(0)
        begun = sum(type(one) is RequestResponseCycle for one in gc.get_objects())
        hold.set()
        async with asyncio.timeout(WAIT):
            answers = await reader.read()
        writer.close()

    assert 1 <= begun <= 2
    assert answers.count(b"HTTP/1.1 200 ") == number + 1


async def test_a_body_in_chunks_of_a_byte_is_read_a_slice_at_a_time():
    number, sizes = 40_000, []

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with running(app) as address:
        head = CHUNKED[:-2] + b"Connection: close\r\n\r\n"
        answer = await said_to(address, head + b"1\r\n \r\n" * number + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert sum(sizes) == number
    assert max(sizes) <= 4_096 // 6 + 1


@pytest.mark.parametrize(
    ("said", "status"),
    [
        pytest.param(GET[:-2] + b"a: b\r\n" * 101, 431, id="too many headers"),
        pytest.param(GET[:-2] + b"a: " + b"b" * 70_000, 431, id="a long header"),
        pytest.param(b"EHLO localhost\r\n", 400, id="no HTTP"),
        pytest.param(POST + BODY[:1], 408, id="half a body"),
    ],
)
async def test_a_client_that_goes_on_sending_reads_why_it_is_sent_away(db, feed, said, status):
    async with running(an_app(db, feed), limits=Limits(request_seconds=0.3)) as address:
        reader, writer = await connected(address)
        writer.write(said)
        async with asyncio.timeout(WAIT):
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"b" * 5_000_000)
            await writer.drain()
            answer += await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b'"BAD_USER_INPUT"}}]}')


async def test_who_says_little_waits_for_one_slice_however_many_say_much():
    turns, read = Turns(), []

    def much(name: int) -> None:
        read.append(name)
        turns.ask(readers[name])

    readers = [partial(much, name) for name in range(50)]
    for reader in readers:
        turns.ask(reader)
    seen = []
    for _ in range(100):
        await asyncio.sleep(0)
        seen.append(len(read))
    for reader in readers:
        turns.drop(reader)

    assert seen == list(range(seen[0], seen[0] + 100))
    assert seen[0] <= 1
    assert read == [n % 50 for n in range(len(read))]
