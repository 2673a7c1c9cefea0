"""Collecting, from the configuration file to running collectors."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from itertools import groupby
from typing import Any

from candleql.settings import Settings
from candleql.signals import on_signal
from collector.config import Pair
from collector.okx.collector import OKXCollector
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations


async def collect(
    settings: Settings, db: DatabaseOperations, pairs: Collection[Pair], *, ready: Callable[[], None]
) -> None:
    """Collect `pairs` until SIGINT or SIGTERM. `ready` is called once, when the work begins.

    Raises:
        DatabaseUnavailable: The database can't be used at the start.
    """
    stop = asyncio.Event()
    async with db, Feed(db, settings.bot_timeout, settings.hot_candles) as feed:
        urls = {"rest_url": settings.okx_rest_url, "ws_url": settings.okx_ws_url}
        made = collectors(pairs, db, feed, **urls)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(collector.run()) for collector in made]
            with on_signal(stop.set):
                ready()
                await stop.wait()
            for task in running:
                task.cancel()


def collectors(
    pairs: Iterable[Pair], db: DatabaseOperations, feed: Feed, *, rest_url: str, ws_url: str
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
                rest_url=rest_url,
                ws_url=ws_url,
            )
        )
    return made


def _wish(pair: Pair) -> tuple[Any, ...]:
    return sorted(data_type.value for data_type in pair.data_types), pair.store_raw_data, pair.force_update_candles
