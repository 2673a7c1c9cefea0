"""How often something may be done: a sliding window."""

from collections import deque


class Window:
    """At most `limit` admissions in any `span`; the unit of time is the caller's."""

    def __init__(self, limit: int, span: float) -> None:
        self._limit = limit
        self._span = span
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Whether there is room at `now`, which is then taken."""
        while self._admitted and self._admitted[0] <= now - self._span:
            self._admitted.popleft()
        if len(self._admitted) >= self._limit:
            return False
        self._admitted.append(now)
        return True
