"""What an endpoint answers with, over HTTP and websockets alike."""

from dataclasses import dataclass, field

from gql.auth import Access
from gql.broadcast import Broadcasts
from gql.resources import Resources
from gql.seats import Seats


@dataclass(frozen=True, slots=True)
class Service:
    """One for each endpoint."""

    resources: Resources
    access: Access
    broadcasts: Broadcasts = field(default_factory=Broadcasts)
    streams: Seats = field(init=False)
    """Of websockets and event streams together."""

    def __post_init__(self) -> None:
        most = self.resources.gate.limits.sockets
        object.__setattr__(self, "streams", Seats(most, "websockets and streams of this key or address"))
