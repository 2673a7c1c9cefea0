"""Much that says little: what takes a server longer to read than it takes its client to say, from several at once."""

import asyncio

from attack.sockets import INIT, PING, PONG, Socket, frame, message
from attack.talk import WAIT, Talker

_AT_ONCE = 5
"""Connections."""
_FRAMES = 20_000
_HEADERS = 20_000
_REQUESTS = 1_000
_CHUNKS = 100_000
_BEGUN = frame(b"{", final=False)
_SMALL = {
    "empty pongs": frame(b"", PONG) * _FRAMES,
    "long pongs": frame(b"x" * 125, PONG) * _FRAMES,
    "empty pings": frame(b"", PING) * _FRAMES,
    "empty pieces": _BEGUN + frame(b"", 0, final=False) * _FRAMES,
    "pieces of a byte": _BEGUN + frame(b" ", 0, final=False) * _FRAMES,
    "small messages": message({"type": "pong"}) * _FRAMES,
}
_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
_POST = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
_END = b"Connection: close\r\n\r\n"


async def small_frames(talker: Talker) -> tuple[list[str], int]:
    """As fast as they can be written, before connection_init and after it."""
    lives = [
        (f"{name}{after}", greeting, words)
        for name, words in _SMALL.items()
        for after, greeting in (("", b""), (" after the greeting", message(INIT)))
    ]
    ends = await asyncio.gather(*(_closed_with(talker, greeting, words) for _, greeting, words in lives))
    codes = {name: code for (name, _, _), code in zip(lives, ends, strict=True)}
    return [f"{name}: closed with {code}" for name, code in codes.items() if code != 1008], len(lives)


async def _closed_with(talker: Talker, greeting: bytes, words: bytes) -> int:
    socket = await Socket.of(talker)
    if socket is None:
        return 0
    try:
        socket.writer.write(greeting + words)
        code, _ = await socket.end(WAIT)
    finally:
        socket.writer.transport.abort()
    return code


async def long_heads(talker: Talker) -> tuple[list[str], int]:
    return await _answered(talker, _GET + b"a: b\r\n" * _HEADERS + _END, {431: 1}, 1)


async def requests_at_once(talker: Talker) -> tuple[list[str], int]:
    """On each connection all are sent before the first is answered."""
    words = (_GET + b"\r\n") * (_REQUESTS - 1) + _GET + _END
    return await _answered(talker, words, {200: _REQUESTS}, _REQUESTS)


async def chunks_of_a_byte(talker: Talker) -> tuple[list[str], int]:
    return await _answered(talker, _POST + _END + b"1\r\n \r\n" * _CHUNKS + b"0\r\n\r\n", {400: 1}, 1)


async def _answered(talker: Talker, words: bytes, wanted: dict[int, int], requests: int) -> tuple[list[str], int]:
    """How often each status is to come, on each connection."""
    heard = await asyncio.gather(*(_heard(talker, words) for _ in range(_AT_ONCE)))
    wrong = []
    for text in heard:
        found = {status: text.count(b"HTTP/1.1 %d " % status) for status in wanted}
        if found != wanted or text.count(b"HTTP/1.1 ") != sum(wanted.values()):
            wrong.append(f"{found} instead of {wanted}: {text[:80]!r}")
    return wrong, requests * _AT_ONCE


async def _heard(talker: Talker, words: bytes) -> bytes:
    reader, writer = await talker.connect()
    try:
        async with asyncio.timeout(WAIT):
            writer.write(words)
            return await reader.read()
    except ConnectionError as error:
        return str(error).encode()
    finally:
        writer.transport.abort()
