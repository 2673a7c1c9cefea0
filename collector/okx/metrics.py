"""What a monitor can scrape about collectors, in Prometheus' terms."""

from collections.abc import Iterator, Sequence

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
        gaps = GaugeMetricFamily(
            "candleql_open_gaps",
            "Stretches of missing trades that are not recovered yet.",
            labels=["exchange", "symbol"],
        )
        for one in of:
            for symbol, count in one.open_gaps().items():
                gaps.add_metric([EXCHANGE, symbol], count)
        yield gaps
