"""One server in a process of its own, on the first core: python -m bench.server NAME URL. It prints its port."""

import asyncio
import logging
import socket
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any, Literal, cast

import uvicorn
import uvloop

from bench.cores import pin
from bench.floor import floor
from bench.plain import plain
from bench.roomy import ROOMY
from candleql.logs import configure_logs
from candleql.server import settle
from gql.app import create_app
from gql.door import Door
from gql.frames import Connection
from gql.guests import Guests
from gql.listening import HTTPConnection
from gql.proxies import Proxies
from repos.feed.hub import Feed
from repos.feed.receiver import HOT_CANDLES
from repos.operations import DatabaseOperations


async def _serve(name: str, url: str) -> None:
    async with AsyncExitStack() as stack:
        app: Any
        http: type[asyncio.Protocol] | Literal["httptools"] = "httptools"
        if name in ("ours", "cold"):
            db = await stack.enter_async_context(DatabaseOperations(url))
            feed = await stack.enter_async_context(Feed(db, hot_candles=HOT_CANDLES if name == "ours" else 0))
            timeout = timedelta(seconds=60)
            app = create_app(
                db,
                feed,
                bot_heartbeat_timeout=timeout,
                limits=ROOMY,
                show_path=True,
                door=Door(limits=ROOMY),
            )
            http = cast("type[asyncio.Protocol]", partial(HTTPConnection, Guests(ROOMY, Proxies(()))))
            settle()
        elif name == "floor":
            app = floor(url)
            settle()
        else:
            app = plain(url)
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            http=http,
            ws=Connection,
            ws_ping_interval=None,
            access_log=False,
            proxy_headers=False,
        )
        await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    pin(0)
    configure_logs("error", "console")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    uvloop.run(_serve(*sys.argv[1:]))
