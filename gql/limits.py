"""What one client may ask for, as plain numbers."""

from dataclasses import dataclass

SHORT_PAGE = 100
"""Bots and instruments on a page when no number is asked for."""
MOST_CANDLES = 10_000
"""Candles in one transaction."""
MOST_SNAPSHOT = 1_000
"""Rows that a subscription begins with."""
MOST_SERIES = 200
"""Series on one subscription."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a document, of what it costs and how long it may take, of a websocket and of connections.

    Cost is in points (gql.cost).
    """

    characters: int = 32_768
    """Of a document."""
    tokens: int = 2_000
    """Of a document; and half as many fields and spreads, once its fragments are put in their places."""
    depth: int = 16
    """Of fields inside each other."""
    aliases: int = 50
    root_fields: int = 30
    directives: int = 50
    introspection: bool = True
    """Whether the schema may be asked for; if not, no error suggests a name of it either."""
    cost: int = 1_000_000
    """Points of one operation: some 10 pages of 10,000 rows of 8 fields."""
    points_a_minute: int = 20_000_000
    """Of one key, or of one address without a key; 0 for any number."""
    seconds: float = 10.0
    """Until a query or a mutation is given up."""
    connection_init_seconds: float = 10.0
    """That a client has to begin with connection_init."""
    ping_seconds: float = 20.0
    """Without a word from the client, after which it is asked for one; as long again, and its connection is closed."""
    idle_seconds: float = 300.0
    """Without an operation, after which a connection is closed."""
    operations: int = 100
    """At the same time on one websocket."""
    body_bytes: int = 4_000_000
    """Of a request's body: a mutation of 10,000 candles fits."""
    connections: int = 10_000
    """Open at once, in all."""
    connections_per_address: int = 500
    """Trusted proxies may have as many as they like."""
    sockets: int = 500
    """Websockets of one address, behind proxies too; and websockets and streams of one key, token or address."""
    request_seconds: float = 15.0
    """In which a request has to arrive whole, and in which a client has to read some of its answer."""
