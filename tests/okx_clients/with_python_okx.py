"""What python-okx sees of an exchange, as one line of JSON.

Runs in .venv-okx-clients: with_python_okx.py REST_URL WS_URL. It insists on TLS: SSL_CERT_FILE names the authority that
signed the exchange's certificate.
"""

import asyncio
import json
import sys
from typing import Any

from okx.MarketData import MarketAPI
from okx.PublicData import PublicAPI
from okx.websocket.WsPublicAsync import WsPublicAsync


def over_rest(url: str) -> dict[str, Any]:
    market, public = MarketAPI(flag="0", domain=url), PublicAPI(flag="0", domain=url)
    recent = market.get_trades("BTC-USDT", limit="50")["data"]
    return {
        "time": public.get_system_time(),
        "instruments": public.get_instruments("SWAP"),
        "trades": recent,
        "older_trades": market.get_history_trades("BTC-USDT", type="1", after=recent[-1]["tradeId"])["data"],
        "minutes": market.get_candlesticks("ETH-USDT", bar="1m", limit="5")["data"],
        "days": market.get_history_candlesticks("SHIB-USDT", bar="1D", limit="3")["data"],
        "unknown": market.get_ticker("NONE-USDT"),
    }


async def listen(url: str, args: list[dict[str, str]], enough: int) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    full = asyncio.Event()

    def hear(text: str) -> None:
        frames.append(json.loads(text))
        if len(frames) >= enough:
            full.set()

    client = WsPublicAsync(url)
    consuming = await client.start()
    await client.subscribe(args, hear, id="one")
    await full.wait()
    await client.stop()
    await consuming
    return frames


async def main(rest_url: str, ws_url: str) -> dict[str, Any]:
    seen = over_rest(rest_url)
    on = {"instId": "BTC-USDT"}
    seen["public"] = await listen(f"{ws_url}/ws/v5/public", [{"channel": "trades", **on}], 25)
    seen["business"] = await listen(
        f"{ws_url}/ws/v5/business", [{"channel": "trades-all", **on}, {"channel": "candle1m", **on}], 40
    )
    return seen


if __name__ == "__main__":
    json.dump(asyncio.run(main(*sys.argv[1:])), sys.stdout)
