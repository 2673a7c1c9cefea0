"""How much a client may ask for. Plain numbers with defaults; candleql/settings.py reads them from the environment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    max_body: int = 4_000_000
    """Bytes of a request's body: a mutation of 10,000 candles fits."""
    max_connections: int = 10_000
    """Open at once, in all."""
    max_connections_per_address: int = 500
    """Trusted proxies may have as many as they like."""
    max_sockets: int = 500
    """Websockets of one address, behind proxies too."""
    request_timeout: float = 15.0
    """Seconds in which a request has to arrive whole, and in which a client has to read some of its answer."""
