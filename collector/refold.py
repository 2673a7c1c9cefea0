"""Buckets folded anew from stored trades: what is to be read for them, and what of it is theirs."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import structlog

from collector.candles import Bucket
from collector.numbering import Numberings
from repos.domain import Trade

NEAR = timedelta(minutes=1)
"""Buckets this near to each other are read together."""

log = structlog.get_logger(__name__)


def spans(buckets: Iterable[Bucket]) -> Iterator[tuple[datetime, datetime]]:
    """The times of all `buckets`, ascending and disjoint; near ones are one."""
    start = end = None
    for bucket in sorted(buckets, key=lambda bucket: bucket.start):
        if start is None or end is None:
            start, end = bucket.start, bucket.end
        elif bucket.start <= end + NEAR:
            end = max(end, bucket.end)
        else:
            yield start, end
            start, end = bucket.start, bucket.end
    if start is not None and end is not None:
        yield start, end


def fill(buckets: Iterable[Bucket], trades: list[Trade], numberings: Numberings) -> None:
    """Give each of the `buckets` those of the stored `trades`, in any order, that happened in its time."""
    newest_first = sorted(trades, key=lambda trade: (trade.timestamp, trade.trade_id), reverse=True)
    trades = [numberings.numbered(trade) for trade in newest_first][::-1]
    times = [trade.timestamp for trade in trades]
    for bucket in buckets:
        for trade in trades[bisect_left(times, bucket.start) : bisect_left(times, bucket.end)]:
            if not bucket.add(trade):
                log.warning("Trade left out, it overlaps another", series=str(bucket.series), trade_id=trade.trade_id)
