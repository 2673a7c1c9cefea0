"""Who is connected: how many there may be, and what those over the number are told."""

from collections import Counter
from http import HTTPStatus

import orjson

from gql.errors import RATE_LIMITED
from gql.limits import Limits
from gql.proxies import Client, Proxies, counted_as
from gql.turns import Turns


class Guests:
    """Who is connected to this process. Trusted proxies may have any number of connections."""

    def __init__(self, limits: Limits, proxies: Proxies) -> None:
        self.limits = limits
        self.turns = Turns()
        self._proxies = proxies
        self._counts = Counter[str]()
        self._count = 0

    def come(self, client: Client) -> bytes | None:
        """Count one more; if that is too many, don't, and return what to tell it."""
        address, limits = counted_as(client), self.limits
        if self._count >= limits.connections:
            return _FULL
        is_exempt = client is not None and self._proxies.include(client[0])
        if self._counts[address] >= limits.connections_per_address and not is_exempt:
            return _TOO_MANY
        self._count += 1
        self._counts[address] += 1
        return None

    def go(self, client: Client) -> None:
        address = counted_as(client)
        self._count -= 1
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]


def last_words(status: HTTPStatus, message: str, code: str) -> bytes:
    """A whole answer that ends its connection, of what never gets to the application."""
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code}}]})
    head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


_FULL = last_words(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections", RATE_LIMITED)
_TOO_MANY = last_words(HTTPStatus.TOO_MANY_REQUESTS, "Too many connections from this address", RATE_LIMITED)
