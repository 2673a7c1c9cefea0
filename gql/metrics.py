"""What a monitor can scrape at /metrics, in Prometheus' text."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from gql.auth import Access
from gql.execution.paths import totals
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations


class Metrics(Collector):
    """Those of this process, made when they are asked for: counting costs a request nothing more."""

    def __init__(self, db: DatabaseOperations, feed: Feed, access: Access, others: Iterable[Collector]) -> None:
        """`others` are shown too: what else runs in this process."""
        self._db = db
        self._feed = feed
        self._access = access
        self._registry = CollectorRegistry()
        for one in (self, *others):
            self._registry.register(one)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus' library asks for."""
        answers = CounterMetricFamily(
            "candleql_answers",
            "Queries and events by how they were answered: fast, or by graphql-core for the reason told.",
            labels=["path"],
        )
        for path, count in totals.items():
            answers.add_metric([path], count)
        yield answers
        windows = self._feed.windows
        pages = CounterMetricFamily(
            "candleql_window_reads", "Reads of candles by whether the window in memory had them.", labels=["found"]
        )
        pages.add_metric(["yes"], windows.found)
        pages.add_metric(["no"], windows.missed)
        yield pages
        yield CounterMetricFamily("candleql_refused_credentials", "Wrong keys and tokens.", self._access.refusals)
        yield GaugeMetricFamily("candleql_windows", "Series whose newest candles are in memory.", windows.count)
        yield GaugeMetricFamily("candleql_subscribers", "Subscriptions open here.", self._feed.topics.followers)
        yield CounterMetricFamily(
            "candleql_unreadable_trades",
            "Rows of raw_trades left out of tapes: others wrote them, and they hold no trade that can be read.",
            self._db.tape.unreadable,
        )
        waiting = self._feed.collectors.waiting()
        yield GaugeMetricFamily(
            "candleql_store_waiting_seconds",
            "How long a batch of a collector, of any process, has been waiting to be stored; 0 when none waits.",
            value=0 if waiting is None else (datetime.now(UTC) - waiting.since).total_seconds(),
        )
        refused = GaugeMetricFamily(
            "candleql_refused_channels",
            "1 for each channel that the exchange refuses, with its error's code.",
            labels=["exchange", "channel", "symbol", "code"],
        )
        for feed in self._feed.collectors.feeds():
            if feed.refusal is not None:
                refused.add_metric([feed.exchange, feed.channel, feed.symbol, feed.refusal.code], 1)
        yield refused
        yield GaugeMetricFamily("candleql_bus_connected", "Whether news arrives.", int(self._feed.connected))

    async def show(self, _: Request) -> Response:
        """The endpoint."""
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")
