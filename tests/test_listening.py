"""Connections of clients that are slow, greedy or speak no HTTP, over real sockets."""

import asyncio
import gc
import socket

import psutil
import pytest

from bench.swarm import HANDSHAKE
from candleql.server import bind
from gql.door import Door
from gql.frames import Connection
from gql.limits import Limits
from gql.listening import HTTPConnection
from gql.proxies import Proxies
from tests.builders import MINUTE, NOON, a_candle
from tests.gql_server import WAIT, an_app, connected, graphql_ws, running, said_to
from tests.test_gql_endings import BODY, POST

pytestmark = pytest.mark.anyio

SOON = Limits(request_seconds=0.3)
BIG = BODY.replace(b") { nodes { ", b", last: 10000) { nodes { startTime endTime high low close volume ")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"\r\n"], id="an empty line"),
        pytest.param([POST[:40]], id="half a head"),
        pytest.param([POST], id="no body"),
        pytest.param([POST + BODY[:10]], id="half a body"),
        pytest.param([HANDSHAKE[:60] % b"/"], id="half a handshake"),
        pytest.param([POST + BODY, POST[:40]], id="half a second request"),
    ],
)
async def test_a_request_that_does_not_come_whole_in_time_is_cut_off(db, feed, said):
    async with running(an_app(db, feed), limits=SOON) as address:
        answer = await said_to(address, *said)

    assert b"HTTP/1.1 408 Request Timeout" in answer


OFFERING = POST.replace(
    b"\r\n\r\n", b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
)
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([OFFERING + BODY + LAST], id="at once"),
        pytest.param([OFFERING, BODY, LAST], id="head and body"),
        pytest.param([bytes([byte]) for byte in OFFERING + BODY + LAST], id="byte by byte"),
    ],
)
async def test_an_upgrade_that_is_not_taken_costs_a_request_nothing(db, feed, said, caplog):
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, *said)

    assert answer.count(b"HTTP/1.1 200 ") == answer.count(b"HTTP/1.1") == 2
    assert b'"data":' in answer
    assert answer.endswith(b'{"alive":true}')
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_thousands_of_offers_on_one_connection_are_answered_one_by_one(db, feed):
    offer = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, offer * 600 + LAST)

    assert answer.count(b"HTTP/1.1 200 ") == 601


async def test_connections_that_ended_are_not_left_to_the_garbage_collector(db, feed):
    def alive() -> list[object]:
        return [one for one in gc.get_objects() if type(one) in (HTTPConnection, Connection)]

    gc.collect()
    gc.disable()
    try:
        async with running(an_app(db, feed), limits=SOON, timeout_keep_alive=0.1) as address:
            async with graphql_ws(address):
                assert len(alive()) == 2
            await said_to(address, POST + BODY)

            async with asyncio.timeout(WAIT):
                while alive():
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_a_connection_without_a_next_request_is_closed_in_time(db, feed):
    async with running(an_app(db, feed), limits=SOON, timeout_keep_alive=0.1) as address:
        answer = await said_to(address, POST + BODY)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_drop_now_and_then_does_not_prolong_the_wait(db, feed):
    async with running(an_app(db, feed), limits=SOON) as address:
        reader, writer = await connected(address)
        drops = iter(POST)
        async with asyncio.timeout(WAIT):
            while not reader.at_eof():
                writer.write(bytes([next(drops)]))
                try:
                    async with asyncio.timeout(0.05):
                        answer = await reader.read(1000)
                except TimeoutError:
                    continue
                break
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: " + 70_000 * b"a", 431),
        (b"GET /" + 70_000 * b"a", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + 101 * b"A: a\r\n" + b"\r\n", 431),
        (HANDSHAKE[:-2] % b"/graphql" + b"A: " + 9_000 * b"a" + b"\r\n\r\n", 431),
        (b"EHLO localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (POST.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: 1\r\nTransfer-Encoding: chunked"), 400),
    ],
)
async def test_what_is_too_long_or_no_http_is_refused(db, feed, said, status):
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, said)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(b'"extensions":{"code":"BAD_USER_INPUT"}}]}')


async def test_chunks_that_are_mostly_padding_end(db, feed):
    chunked = POST.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
    limits = Limits(body_bytes=1_000)
    async with running(an_app(db, feed, door=Door(limits=limits)), limits=limits) as address:
        answer = await said_to(address, chunked + 19 * (b"1;" + 4_000 * b"a" + b"\r\n \r\n"))

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_trailers_change_nothing(db, feed):
    chunked = POST.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked\r\nConnection: close")
    body = b"%x\r\n%s\r\n0\r\nHost: evil.example\r\n\r\n" % (len(BODY), BODY)
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, chunked + body)

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_an_address_has_a_bounded_number_of_connections_of_both_kinds(db, feed):
    limits = Limits(connections_per_address=2)
    async with running(an_app(db, feed), limits=limits) as address:
        async with graphql_ws(address):
            _, writer = await connected(address)
            assert (await said_to(address)).startswith(b"HTTP/1.1 429 ")
            reader, other = await connected(address, local_addr=("127.0.0.2", 0))
            other.write(POST + BODY)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            other.close()
            writer.close()
        async with asyncio.timeout(WAIT):  # both have left
            while (await said_to(address, b"x")).startswith(b"HTTP/1.1 429 "):
                pass


async def test_all_together_have_a_bounded_number_of_connections(db, feed):
    async with running(an_app(db, feed), limits=Limits(connections=1)) as address:
        _, writer = await connected(address)
        assert (await said_to(address)).startswith(b"HTTP/1.1 503 ")
        writer.close()


async def test_a_trusted_proxy_has_as_many_connections_as_it_likes(db, feed):
    limits = Limits(connections_per_address=1)
    async with running(an_app(db, feed), limits=limits, proxies=Proxies(["127.0.0.1"])) as address:
        _, writer = await connected(address)
        assert (await said_to(address, b"x")).startswith(b"HTTP/1.1 400 ")
        writer.close()


@pytest.mark.parametrize("closing", [False, True])
async def test_a_client_that_reads_nothing_of_its_answer_is_cut_off(db, feed, closing):
    await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(10_000)])
    head = POST.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: %d" % len(BIG))
    if closing:
        head = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with running(an_app(db, feed), limits=SOON) as address:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            host, port = address.split(":")
            await asyncio.get_running_loop().sock_connect(slow, (host, int(port)))
            await asyncio.get_running_loop().sock_sendall(slow, head + BIG)
            async with asyncio.timeout(WAIT):
                while not is_held(slow.getsockname()):
                    await asyncio.sleep(0)
                while is_held(slow.getsockname()):
                    await asyncio.sleep(0.05)


def is_held(client: tuple[str, int]) -> bool:
    """Whether this process has a connection to the client open."""
    return any(connection.raddr == client for connection in psutil.Process().net_connections())


async def test_a_client_that_reads_slowly_gets_its_whole_answer(db, feed):
    await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(10_000)])
    head = POST.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: %d" % len(BIG))
    async with running(an_app(db, feed), limits=SOON) as address:
        reader, writer = await connected(address, limit=4096)
        writer.write(head + BIG)
        answer_head = await reader.readuntil(b"\r\n\r\n")
        left = int(answer_head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert left > 1_000_000
        begun = asyncio.get_running_loop().time()
        while left:
            left -= len(await reader.readexactly(min(left, 100_000)))
            await asyncio.sleep(0.05)
        writer.close()

    assert asyncio.get_running_loop().time() - begun > 2 * SOON.request_seconds


async def test_a_stream_whose_client_takes_nothing_gives_its_seat_back():
    """Too little for our own buffer: the system's takes it all, and is what has to notice."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b":\n\n" * 30_000, "more_body": True})
        began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    async with running(app, limits=SOON) as address:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            host, port = address.split(":")
            await asyncio.get_running_loop().sock_connect(deaf, (host, int(port)))
            await asyncio.get_running_loop().sock_sendall(deaf, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(WAIT):
                await began.wait()
                await ended.wait()


async def test_a_client_of_http_1_0_gets_its_stream_without_chunks_until_the_end_of_the_connection(db, feed):
    head = POST.replace(b"HTTP/1.1", b"HTTP/1.0").replace(
        b"\r\n\r\n", b"\r\nAccept: text/event-stream\r\nExpect: 100-continue\r\n\r\n"
    )
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, head + BODY)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"event: next\ndata: {")
    assert body.endswith(b"\n\nevent: complete\ndata:\n\n")


async def test_a_client_of_http_1_0_gets_a_whole_answer_as_it_is(db, feed):
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")

    assert b"content-length: 14\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"alive":true}')


async def test_answers_go_out_at_once_on_every_loop():
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
