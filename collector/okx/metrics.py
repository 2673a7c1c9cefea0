"""What a monitor can scrape about collectors, in Prometheus' terms."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.okx.collector import OKXCollector
from collector.okx.protocol import EXCHANGE


class CollectorMetrics(Collector):
    """Those of all `collectors` of this process together, read when they are asked for."""

    def __init__(self, collectors: Sequence[OKXCollector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """What Prometheus' library asks for."""
        of = self._collectors
        yield CounterMetricFamily(
            "candleql_okx_channel_stalls",
            "Channels found silent while the exchange went on.",
            sum(one.stalls for one in of),
        )
        yield CounterMetricFamily(
            "candleql_okx_frames_malformed",
            "Frames and objects that could not be read.",
            sum(one.malformed for one in of),
        )
        yield CounterMetricFamily(
            "candleql_candle_differences",
            "Candles that were found to differ from the exchange's own.",
            sum(one.differences for one in of),
        )
        since = min((one.waiting_since for one in of if one.waiting_since), default=None)
        yield GaugeMetricFamily(
            "candleql_store_waiting_seconds",
            "How long a batch has been waiting to be stored after the database failed; 0 when none waits.",
            value=0 if since is None else (datetime.now(UTC) - since).total_seconds(),
        )
        gaps = GaugeMetricFamily(
            "candleql_open_gaps",
            "Stretches of missing trades that are not recovered yet.",
            labels=["exchange", "symbol"],
        )
        for one in of:
            for symbol, count in one.open_gaps().items():
                gaps.add_metric([EXCHANGE, symbol], count)
        yield gaps
