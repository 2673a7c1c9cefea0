"""The exchange's JSON for matches and tickers, with the keys and order of frames recorded in 2026."""

from collections.abc import Iterable, Iterator

import orjson

from collector.okx.simulator.candles import Candles
from collector.okx.simulator.instruments import Spec, plain
from collector.okx.simulator.market import HOUR, Match


def single(spec: Spec, match: Match) -> dict[str, object]:
    """A match on its own: an object of the channel trades-all."""
    return {
        "instId": spec.inst_id,
        "tradeId": str(match.id),
        "px": spec.price(match.price),
        "sz": spec.size(match.size),
        "side": "buy" if match.is_buy else "sell",
        "source": "1" if match.is_elp else "0",
        "ts": str(match.time),
    }


def aggregated(spec: Spec, matches: list[Match]) -> dict[str, object]:
    """The matches of one taker order at one price: an object of the channel trades. Its id is that of the last."""
    last = matches[-1]
    return {
        "instId": spec.inst_id,
        "tradeId": str(last.id),
        "px": spec.price(last.price),
        "sz": spec.size(sum(match.size for match in matches)),
        "side": "buy" if last.is_buy else "sell",
        "ts": str(last.time),
        "count": str(len(matches)),
        "source": "1" if last.is_elp else "0",
        # Parts of one order share it: the number is said to repeat.
        "seqId": last.order * 115 + 7,
    }


def by_order(matches: Iterable[Match]) -> Iterator[list[Match]]:
    """The matches in groups of one order and price, as the channel trades tells them."""
    group: list[Match] = []
    for match in matches:
        if group and (match.order, match.price) != (group[-1].order, group[-1].price):
            yield group
            group = []
        group.append(match)
    if group:
        yield group


def ticker(candles: Candles, moment: int) -> dict[str, object]:
    """The last price and the last 24 hours: an object of the channel tickers and of market/ticker."""
    market = candles.market
    spec = market.spec
    last_id = market.last_id(moment)
    (last,) = market.read(last_id, last_id)
    day = candles.last_day(moment)
    bid = last.price - last.is_buy
    volume = spec.size(day.size)
    if spec.contract_places is None:
        in_coin_or_quote = plain(day.turnover, spec.price_places + spec.size_places)
    else:
        in_coin_or_quote = plain(day.size, spec.size_places + spec.contract_places)
    return {
        "instType": spec.inst_type,
        "instId": spec.inst_id,
        "last": spec.price(last.price),
        "lastSz": spec.size(last.size),
        "askPx": spec.price(bid + 1),
        "askSz": spec.size(spec.typical_size),
        "bidPx": spec.price(bid),
        "bidSz": spec.size(spec.typical_size),
        "open24h": spec.price(day.open),
        "high24h": spec.price(day.high),
        "low24h": spec.price(day.low),
        "sodUtc0": spec.price(candles.close_before(moment - moment % (24 * HOUR))),
        "sodUtc8": spec.price(candles.close_before(moment - (moment + 8 * HOUR) % (24 * HOUR))),
        "volCcy24h": in_coin_or_quote,
        "vol24h": volume,
        "ts": str(moment),
    }


def frame(channel: str, inst_id: str, data: list[dict[str, object]] | list[list[str]]) -> bytes:
    """A push: {"arg": ..., "data": [...]}."""
    return orjson.dumps({"arg": {"channel": channel, "instId": inst_id}, "data": data})
