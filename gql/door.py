"""Before everything else: which hosts and origins are let in, how much they may send, and who is behind a proxy."""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gql.errors import BAD_USER_INPUT, FORBIDDEN, Refused
from gql.http import JSON, Headers, HTTPAnswer, mistaken, refusal, response_of
from gql.limits import Limits
from gql.pages import ASSETS
from gql.proxies import Proxies, counted_as
from gql.seats import Seats

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
# gql.pages says itself how long its files are kept.
_OF_ASSETS = [header for header in _ALWAYS if header[0] != b"cache-control"]
_HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]*)?", re.IGNORECASE)
"""Name or bracketed address, and a port. What is written otherwise is no host: others may read it in another way."""
_SINGLE = (b"host", b"origin", b"content-length")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Max-Age": "600",
}
_PROBED = ("/healthz", "/readyz")
"""What an orchestrator asks by whatever address a replica has; they tell nothing that a foreign page could want."""
LINGERING = 2.0
"""Seconds in which what a refused client still sends is thrown away."""
_ENOUGH = 1_000
"""Hosts that are remembered as allowed: with wildcards and ports a client could make up any number."""


class Door:
    """What is let in.

    `hosts` are names without port; ".example.org" is that and all below it, "*" any. `origins` are written as browsers
    send them ("https://example.org"), "*" is any; the page's own origin is always allowed.
    """

    def __init__(
        self,
        hosts: Collection[str] = LOOPBACK,
        origins: Collection[str] = (),
        proxies: Proxies = Proxies(()),  # noqa: B008 -- it has no state but a memo
        limits: Limits = Limits(),  # noqa: B008 -- frozen
    ) -> None:
        self._exact = {host.lower() for host in hosts}
        self._domains = tuple(host.lower() for host in hosts if host.startswith("."))
        self._origins = {origin.encode() for origin in origins}
        self._proxies = proxies
        self._limits = limits
        self._allowed: set[bytes | None] = set()
        self._sockets = Seats(limits.sockets, "websockets of this address")

    def enter(self, scope: Scope) -> tuple[Headers, bool]:
        """The headers that the answer is to have besides its own, and whether the length of the body is known.

        In `scope` the client is then whoever is behind the proxies.

        Raises:
            HTTPAnswer: The request stays outside. The answer has all its headers.
        """
        headers = dict(scope["headers"])
        if len(headers) != len(scope["headers"]):
            _refuse_twice(scope["headers"])
        host = headers.get(b"host")
        if host not in self._allowed and scope["path"] not in _PROBED:
            self._learn(host)
        scope["client"] = self._proxies.client_of(scope)
        added = _OF_ASSETS if scope["path"].startswith(ASSETS) else _ALWAYS
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host:
            added = self._cross_origin(scope, headers, origin, added)
        if int(headers.get(b"content-length", 0)) > self._limits.body_bytes:
            raise _outside(self._too_long(), added)
        return added, b"transfer-encoding" not in headers

    async def measured(self, receive: Receive) -> Receive:
        """`receive` for a body of unknown length, after it was read.

        Raises:
            HTTPAnswer: It is too long.
            ClientDisconnect: The client went away before its end.
        """
        pieces, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            more = message.get("more_body", False)
            if size > self._limits.body_bytes:
                raise self._too_long()
        whole: list[Message] = [{"type": "http.request", "body": b"".join(pieces), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        return again

    @contextmanager
    def socket(self, scope: Scope) -> Iterator[None]:
        """A websocket's stay.

        Raises:
            HTTPAnswer: Its address has too many.
        """
        with ExitStack() as stay:
            try:
                stay.enter_context(self._sockets.taken(counted_as(scope["client"])))
            except Refused as refused:
                raise HTTPAnswer(response_of(refused)) from refused
            yield

    def _learn(self, host: bytes | None) -> None:
        """Remember an allowed host."""
        written = _HOST.fullmatch(host or b"")
        name = written[1].decode().lower().removesuffix(".") if written else ""
        if not ("*" in self._exact or name in self._exact or (name and f".{name}".endswith(self._domains))):
            raise _outside(mistaken(421, "This host is not served here; see ALLOWED_HOSTS"))
        if len(self._allowed) < _ENOUGH:
            self._allowed.add(host)

    def _cross_origin(self, scope: Scope, headers: dict[bytes, bytes], origin: bytes, always: Headers) -> Headers:
        if origin not in self._origins and b"*" not in self._origins:
            raise _outside(HTTPAnswer(refusal(403, "This origin is not allowed; see ALLOWED_ORIGINS", code=FORBIDDEN)))
        added = [
            *always,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After"),
            (b"vary", b"Origin"),
        ]
        if scope.get("method") == "OPTIONS" and b"access-control-request-method" in headers:
            asked = headers.get(b"access-control-request-headers", b"Accept, Authorization, Content-Type")
            added += [(b"access-control-allow-headers", asked), (b"vary", b"Access-Control-Request-Headers")]
            raise _outside(HTTPAnswer(Response(status_code=204, headers=_PREFLIGHT)), added)
        return added

    def _too_long(self) -> HTTPAnswer:
        text = f"The body is longer than {self._limits.body_bytes:,} bytes"
        body = refusal(413, text, code=BAD_USER_INPUT).body
        return HTTPAnswer(_Lingering(body, 413, {"Connection": "close"}, JSON.decode()))


class _Lingering(Response):
    """Is sent at once, and its connection closed a moment later: while a client still sends, closing would take away
    what it has not read yet (RFC 9112, 9.6)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGERING):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body"})


def _outside(answer: HTTPAnswer, added: Headers = _ALWAYS) -> HTTPAnswer:
    """An answer to what was not let in, so that nothing else will add these headers."""
    answer.response.raw_headers.extend(added)
    return answer


def adding(send: Send, headers: Headers) -> Send:
    """`send`, with these headers in the answer. Not a coroutine of its own: an answer of 100 us would notice."""

    def add(message: Message) -> object:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        return send(message)

    return add  # type: ignore[return-value]  # what it returns is awaited


def _refuse_twice(headers: Headers) -> None:
    names = Counter(name for name, _ in headers)
    if any(names[name] > 1 for name in _SINGLE):
        raise _outside(mistaken(400, "Host, Origin and Content-Length may come once only"))
