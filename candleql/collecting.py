"""From the configuration file to running collectors."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from collector.config import Pair
from collector.okx.collector import OKXCollector
from collector.okx.pace import Pace
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations


def collectors(
    pairs: Iterable[Pair], db: DatabaseOperations, feed: Feed, *, pace: Pace, rest_url: str, ws_url: str
) -> list[OKXCollector]:
    """One collector for all pairs that want the same done with what comes."""
    made = []
    for _, group in groupby(sorted(pairs, key=_wish), key=_wish):
        alike = list(group)
        pair = alike[0]
        made.append(
            OKXCollector(
                [each.symbol for each in alike],
                list(pair.data_types),
                pair.store_raw_data,
                pair.force_update_candles,
                timeframes={each.symbol: each.timeframes for each in alike},
                db=db,
                feed=feed,
                pace=pace,
                rest_url=rest_url,
                ws_url=ws_url,
            )
        )
    return made


def _wish(pair: Pair) -> tuple[Any, ...]:
    return sorted(data_type.value for data_type in pair.data_types), pair.store_raw_data, pair.force_update_candles
