"""Who a client is: behind trusted proxies the last address that is not one of theirs."""

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address, ip_network

from starlette.types import Scope

Client = tuple[str, int] | None
"""Address and port, as ASGI has them."""


class Proxies:
    """`networks` ("10.0.0.0/8") whose word on a client's address is taken.

    Raises:
        ValueError: One of them is not a network.
    """

    def __init__(self, networks: Collection[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]
        self.include = lru_cache(1_000)(self._include)

    def client_of(self, scope: Scope) -> Client:
        """Whoever asks, as far as it is told by those whose word counts."""
        client: Client = scope["client"]
        if not self._networks or client is None or not self.include(client[0]):
            return client
        told = {_NAMES[name](value) for name, value in _joined(scope["headers"]).items()}
        # Proxies write one of the two and pass the other on as the client made it up: then neither is believed.
        return (self._nearest(client[0], told.pop()), 0) if len(told) == 1 else client

    def _nearest(self, peer: str, chain: tuple[str, ...]) -> str:
        for address in reversed(chain):
            try:
                is_proxy = self.include(address)
            except ValueError:
                break  # what is further left was told by someone who does not know
            peer = address
            if not is_proxy:
                break
        return peer

    def _include(self, address: str) -> bool:
        found = ip_address(address)
        return any(found in network for network in self._networks)


def counted_as(client: Client) -> str:
    """Whose connections are counted together: an address, of IPv6 the network, in which a client may choose its own."""
    return network_of(client[0]) if client else ""


@lru_cache(1_000)
def network_of(address: str) -> str:
    """What counts as one client's."""
    found = ip_address(address.partition("%")[0])
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or found.exploded[:19])


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """What proxies say of the client."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in _NAMES:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found


def _x_forwarded_for(text: str) -> tuple[str, ...]:
    return tuple(_bare(part.strip()) for part in text.split(","))


def _forwarded(text: str) -> tuple[str, ...]:
    """RFC 7239: for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"."""
    hops = []
    for element in text.split(","):
        pairs = dict(part.strip().lower().partition("=")[::2] for part in element.split(";"))
        hops.append(_bare(pairs.get("for", "").strip('"')))
    return tuple(hops)


_WRITTEN = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([0-9A-Fa-f:.]+)")
"""In brackets and of IPv4 with a port or without, of IPv6 without brackets as well."""


def _bare(address: str) -> str:
    """Without the port; what is no address stays as it is, and is none."""
    written = _WRITTEN.fullmatch(address)
    return next(filter(None, written.groups()), "") if written else address


_NAMES = {b"x-forwarded-for": _x_forwarded_for, b"forwarded": _forwarded}
