"""How much one client may hold open at the same time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gql.errors import RATE_LIMITED, refused


class Seats:
    """So many for each client, whatever a client is counted as; `what` they are is told to who wants more."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken = Counter[str]()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """One more, for as long as the block lasts.

        Raises:
            Refused: It would be too many.
        """
        if self._taken[client] >= self._most:
            raise refused(RATE_LIMITED, f"Too many {self._what}; at most {self._most:,} may be open")
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]
