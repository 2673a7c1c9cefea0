"""What a process that begins its work tells in the log: a line each of its database, of what it collects and where it
listens."""

from collections.abc import Collection

import structlog

from collector.config import Pair
from repos.operations import DatabaseOperations

_SHOWN = 10
"""Symbols in a line; the others are counted."""

log = structlog.get_logger(__name__)


def tell_start(
    db: DatabaseOperations, pairs: Collection[Pair], address: str | None = None, *, exchange: str = "okx"
) -> None:
    """Tell it all; a process without an address does not listen."""
    log.info("Using the embedded database" if db.is_embedded else "Using the database", **db.place)
    if pairs:
        names = [pair.symbol for pair in pairs]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        types = sorted({data_type.value for pair in pairs for data_type in pair.data_types})
        timeframes = sorted(
            {timeframe for pair in pairs for timeframe in pair.timeframes}, key=lambda each: (each.months, each.length)
        )
        log.info(
            "Collecting",
            exchange=exchange,
            symbols=", ".join(names[:_SHOWN]) + more,
            data_types=", ".join(types),
            timeframes=", ".join(timeframes),
        )
    else:
        log.info("Collecting nothing")
    if address is not None:
        log.info("Listening", address=address)
