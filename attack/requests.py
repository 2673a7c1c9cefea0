"""Requests that are no GraphQL requests, or come from pages that should not ask."""

import json
from urllib.parse import quote

from attack.talk import Talker, expected

_ASK = b'{"query":"{ __typename }"}'
_INPUT = ("BAD_USER_INPUT",)
_CODES = ("BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "PERSISTED_QUERY_NOT_FOUND")
BODIES = {
    "null": b"null",
    "a number": b"1",
    "a string": b'"{ __typename }"',
    "an array": b"[]",
    "a batch": b"[" + b",".join([_ASK] * 1_000) + b"]",
    "empty": b" ",
    "nothing asked": b"{}",
    "half of it": _ASK[:12],
    "no UTF-8": b'{"query":"{ __typename }\xff\xfe"}',
    "a query that is a number": b'{"query":1}',
    "variables that are an array": b'{"query":"{ __typename }","variables":[]}',
    "extensions that are a string": b'{"query":"{ __typename }","extensions":"x"}',
    "operationName that is an object": b'{"query":"{ __typename }","operationName":{}}',
    "deep JSON": b'{"query":"{ __typename }","variables":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "deep objects": b'{"query":"{ __typename }","variables":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "NaN": b'{"query":"{ __typename }","variables":{"a":NaN}}',
    "a control character": b'{"query":"{ __typename }\x01"}',
}
_LONG_INTEGER = b'{"query":"query ($a: Int) { __typename @skip(if: false) }","variables":{"a":' + b"9" * 6_000 + b"}}"
_MEDIA = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/graphql",
    "x",
    "",
)
_PATHS = (
    "/graphql/../../etc/passwd", "//graphql", "/graphql%00", "/%2e%2e/%2e%2e/etc/passwd", "/graphql;x", "/\xff",
    "/" + "a" * 20_000, "/graphql?query=%ff", "/graphql?variables=[", "/graphql?query=" + "%7B" * 10_000,
    "/metrics/..%2f", "/static/../.env", "http://evil.example/graphql", "*",
)  # fmt: skip
_METHODS = ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD", "PROPFIND", "CONNECT")
_CREATE = (
    'mutation { createBot(input: { name: "forged", strategyName: "x", symbol: "BTC-USDT", timeframe: "1m" })'
    " { bot { id } } }"
)
_LIST = "{ bots(first: 100) { nodes { name } } }"


async def wrong_bodies(talker: Talker) -> tuple[list[str], int]:
    wrong = []
    for name, body in BODIES.items():
        answer = await talker.post(body)
        wrong += expected(name, answer, (200, 400), _CODES)
        if '"data":{' in answer.text:
            wrong.append(f"{name}: was executed")
    wrong += expected("a 6,000-digit integer", await talker.post(_LONG_INTEGER), (200, 400), _CODES)
    wrong += expected("10 MB", await talker.post(b" " * 10_000_000), (0, 413))
    wrong += expected(
        "10 MB announced", await talker.request("POST", "/graphql", "Content-Length: 10000000"), (413,), _INPUT
    )
    return wrong, len(BODIES) + 3


async def wrong_media(talker: Talker) -> tuple[list[str], int]:
    """What a form of any page may send without the browser asking first."""
    wrong = []
    for media in _MEDIA:
        answer = await talker.request("POST", "/graphql", f"Content-Type: {media}", body=_ASK)
        wrong += expected(f"Content-Type: {media}", answer, (400, 415), _INPUT)
    return wrong, len(_MEDIA)


async def wrong_paths(talker: Talker) -> tuple[list[str], int]:
    wrong = []
    for path in _PATHS:
        wrong += expected(path[:30], await talker.request("GET", path), (200, 400, 404, 405, 406, 431))
    for method in _METHODS:
        answer = await talker.request(method, "/graphql", "Accept: application/json")
        wrong += expected(method, answer, (200, 204, 400, 404, 405))
        if '"data"' in answer.text:
            wrong.append(f"{method}: was executed")
    return wrong, len(_PATHS) + len(_METHODS)


async def wrong_http(talker: Talker) -> tuple[list[str], int]:
    """What two servers in a row could understand in two ways."""
    start = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    said = {
        "length and chunks": start + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": start + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n12345",
        "a negative length": start + b"Content-Length: -1\r\n\r\n",
        "a huge length": start + b"Content-Length: 99999999999999999999999\r\n\r\n",
        "a bad chunk": start + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "a huge chunk": start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "folded headers": start + b"A: b\r\n c\r\n\r\n",
        "a bare CR": b"GET / HTTP/1.1\rHost: localhost\r\r",
        "NUL in a header": start + b"A: \x00\r\n\r\n",
        "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "200 headers": start + b"A: b\r\n" * 200 + b"\r\n",
        "a head of 1 MB": start + b"A: " + b"b" * 1_000_000,
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    }
    wrong = []
    for name, words in said.items():
        wrong += expected(name, await talker.say(words), (0, 400, 404, 405, 413, 415, 431))
    return wrong, len(said)


async def rebinding(talker: Talker) -> tuple[list[str], int]:
    """A name of an evil page that was made to point here."""
    wrong = []
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
        answer = await talker.request("POST", "/graphql", f"Host: {host}", "Content-Type: application/json", body=_ASK)
        wrong += expected(f"Host: {host}", answer, (421,), _INPUT)
    return wrong, 4


async def other_origins(talker: Talker) -> tuple[list[str], int]:
    wrong = []
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        wrong += expected(origin, await talker.post(_ASK, f"Origin: {origin}"), (403,), ("FORBIDDEN",))
        handshake = (
            "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: graphql-transport-ws", f"Origin: {origin}",
        )  # fmt: skip
        lines = ["GET /graphql HTTP/1.1", "Host: localhost", "Connection: Upgrade", *handshake, "", ""]
        wrong += expected(f"a socket of {origin}", await talker.say("\r\n".join(lines).encode()), (403,))
    return wrong, 6


async def changes_by_link(talker: Talker) -> tuple[list[str], int]:
    """A mutation in the address of a picture, and in that of a link."""
    wrong = []
    for accept in (
        "image/png,*/*",
        "text/html",
        "application/json",
        "text/event-stream",
        "application/graphql-response+json",
    ):
        answer = await talker.request("GET", f"/graphql?query={quote(_CREATE)}", f"Accept: {accept}")
        wrong += expected(accept, answer, (200, 400, 405, 406))
    bots = json.loads((await talker.ask(_LIST)).text)["data"]["bots"]["nodes"]
    if {"name": "forged"} in bots:
        wrong.append("a bot was created")
    return wrong, 5
