"""The text of a collector's report on the bus: lists, which the news cuts into pieces as it does all others."""

from typing import Any

from repos.domain import DataType, Timeframe
from repos.events import CollectorReport, FeedHealth, Followed, Refusal, Waiting
from repos.feed.instants import micros, moment_if, moment_of


def report_fields(report: CollectorReport) -> list[Any]:
    """For JSON; report_of() reads it."""
    followed = [[f.exchange, f.symbol, f.timeframes, [each.value for each in f.data_types]] for f in report.followed]
    waiting = report.waiting and [micros(report.waiting.since), report.waiting.reason]
    return [[_feed_fields(feed) for feed in report.feeds], followed, waiting]


def report_of(fields: list[Any]) -> CollectorReport:
    """The report of report_fields().

    Raises:
        ValueError, TypeError, LookupError: It is of another version.
    """
    feeds, followed, waiting = fields
    return CollectorReport(
        [_feed(row) for row in feeds],
        [Followed(f[0], f[1], tuple(map(Timeframe, f[2])), tuple(map(DataType, f[3]))) for f in followed],
        waiting and Waiting(moment_of(waiting[0]), waiting[1]),
    )


def _feed_fields(h: FeedHealth) -> list[Any]:
    refusal = h.refusal and [h.refusal.code, h.refusal.message, micros(h.refusal.since)]
    seen = [h.connected, micros(h.last_message_at), h.reconnects, h.open_gaps, h.lag_ms]
    return [h.exchange, h.channel, h.symbol, *seen, refusal]


def _feed(row: list[Any]) -> FeedHealth:
    exchange, channel, symbol, connected, last, reconnects, gaps, lag, refused = row
    refusal = refused and Refusal(refused[0], refused[1], moment_of(refused[2]))
    return FeedHealth(exchange, channel, symbol, connected, moment_if(last), reconnects, gaps, lag, refusal)
