"""Processors: servers on the first, database and load on the second. Where that can't be said, wherever."""

import os
from contextlib import suppress


def pin(core: int) -> None:
    """Keep this process, and those that it starts, on one processor."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # it is not ours to use
            os.sched_setaffinity(0, {core})
