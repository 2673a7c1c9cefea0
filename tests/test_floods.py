"""Clients that say next to nothing, as often as they can, over real sockets."""

import asyncio

import pytest

from attack.sockets import INIT, Socket, frame, message
from bench.swarm import HANDSHAKE
from tests.gql_server import WAIT, an_app, connected, running

pytestmark = pytest.mark.anyio

CONTINUED, TEXT, PING, PONG = 0, 1, 9, 10
BEGUN = frame(b"{", final=False)


async def shaken(address: str) -> Socket:
    reader, writer = await connected(address)
    writer.write(HANDSHAKE % b"/graphql")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return Socket(reader, writer)


@pytest.mark.parametrize("greeting", [b"", message(INIT)], ids=["before its greeting", "welcome"])
@pytest.mark.parametrize(
    ("first", "flood"),
    [
        pytest.param(b"", frame(b"", PONG), id="empty pongs"),
        pytest.param(b"", frame(b"x" * 125, PONG), id="long pongs"),
        pytest.param(b"", frame(b"", PING), id="empty pings"),
        pytest.param(BEGUN, frame(b"", CONTINUED, final=False), id="empty pieces"),
        pytest.param(BEGUN, frame(b" ", CONTINUED, final=False), id="pieces of a byte"),
        pytest.param(b"", message({"type": "pong"}), id="pongs of the protocol"),
    ],
)
async def test_who_sends_more_small_frames_than_anybody_needs_is_sent_away(db, feed, greeting, first, flood):
    async with running(an_app(db, feed)) as address:
        client = await shaken(address)
        client.writer.write(greeting + first + flood * 20_000)
        code, _ = await client.end(5)
        client.writer.close()

    assert code == 1008


async def test_empty_pieces_of_a_message_are_not_kept_and_the_message_arrives(db, feed):
    async with running(an_app(db, feed)) as address:
        client = await shaken(address)
        text = message(INIT)[6:]
        pieces = [
            frame(text[n : n + 1], CONTINUED, final=False) + frame(b"", CONTINUED, final=False)
            for n in range(len(text))
        ]
        client.writer.write(frame(b"", TEXT, final=False) + b"".join(pieces) + frame(b"", CONTINUED))
        async with asyncio.timeout(WAIT):
            assert await client.hear() == (TEXT, b'{"type":"connection_ack"}')
        client.writer.close()


async def test_others_have_their_turn_while_one_websocket_says_much(db, feed):
    number = 2_000
    async with running(an_app(db, feed)) as address:
        client = await shaken(address)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        taking_turns = asyncio.create_task(other())
        client.writer.write(message(INIT) + message({"type": "ping", "payload": {"x": "x" * 100}}) * number)
        async with asyncio.timeout(WAIT):
            await client.hear()
            before = turns
            for _ in range(number):
                code, text = await client.hear()
                assert (code, text[:15]) == (TEXT, b'{"type":"pong",')
        taking_turns.cancel()
        client.writer.close()

    assert turns - before > number / 30
