"""What one client may ask for, as plain numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a websocket."""

    connection_init_seconds: float = 10.0
    """That a client has to begin with connection_init."""
    ping_seconds: float = 20.0
    """Without a word from the client, after which it is asked for one; as long again, and its connection is closed."""
    idle_seconds: float = 300.0
    """Without an operation, after which a connection is closed."""
    operations: int = 100
    """At the same time on one websocket."""
