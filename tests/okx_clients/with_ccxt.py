"""What ccxt sees of an exchange, as one line of JSON.

Runs in .venv-okx-clients: with_ccxt.py REST_URL WS_URL.
"""

import asyncio
import json
import sys
from typing import Any

import ccxt.pro


async def main(rest_url: str, ws_url: str) -> dict[str, Any]:
    exchange = ccxt.pro.okx({"urls": {"api": {"rest": rest_url, "ws": f"{ws_url}/ws/v5"}}, "newUpdates": True})
    try:
        seen: dict[str, Any] = {"markets": await exchange.load_markets()}
        trades = await exchange.fetch_trades("BTC/USDT", limit=200)
        seen["fetched_trades"] = [trade["info"] for trade in trades]
        seen["older_trades"] = await exchange.fetch_trades(
            "BTC/USDT", params={"method": "publicGetMarketHistoryTrades", "after": trades[0]["id"]}
        )
        hour = 3_600_000
        since = (await exchange.fetch_time()) // hour * hour - 6 * hour
        seen["since"] = since
        seen["hours"] = await exchange.fetch_ohlcv("ETH/USDT:USDT", "1h", since=since, limit=4)
        seen["days"] = await exchange.fetch_ohlcv("SHIB/USDT", "1d", limit=3)
        seen["book"] = await exchange.fetch_order_book("SHIB/USDT", 5)
        seen["ticker"] = await exchange.fetch_ticker("SHIB/USDT")
        seen["watched_ticker"] = await exchange.watch_ticker("SHIB/USDT")
        seen["watched_candle"] = (await exchange.watch_ohlcv("BTC/USDT", "1m"))[-1]
        seen["watched_books"] = []
        while len(seen["watched_books"]) < 3:
            book = await exchange.watch_order_book("BTC/USDT")
            seen["watched_books"].append({"bids": book["bids"][:5], "asks": book["asks"][:5]})
        seen["watched_trades"] = []
        while len(seen["watched_trades"]) < 25:
            seen["watched_trades"] += [trade["info"] for trade in await exchange.watch_trades("BTC/USDT")]
        return seen
    finally:
        await exchange.close()


if __name__ == "__main__":
    json.dump(asyncio.run(main(*sys.argv[1:])), sys.stdout)
