"""Long work in a thread, which lets others go first."""

import time

_WORK = 0.0003
"""Seconds between two rests."""
_REST = 0.00001
"""Seconds; with what the system adds to them they suffice for another thread to take over."""


class Rests:
    """Called often in the midst of long work: stops for a moment when it is time to.

    Python would take turns by itself, but fairly: whoever has little to do for a request would wait for its turn again
    and again.
    """

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self) -> None:
        if time.perf_counter() - self._since > _WORK:
            time.sleep(_REST)
            self._since = time.perf_counter()


def never() -> None:
    """For work that nobody has to wait for."""
