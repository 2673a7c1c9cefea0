"""Wires the parts together and serves, until a signal or the first failure."""

import asyncio
import gc
import resource
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from ipaddress import ip_address
from typing import cast

import uvicorn
from limits.errors import ConfigurationError

from candleql.access import access_to
from candleql.addresses import words
from candleql.collecting import collectors
from candleql.demo import Demo
from candleql.errors import UserError
from candleql.settings import Settings
from candleql.signals import on_signal
from collector.config import Pair
from collector.okx.metrics import CollectorMetrics
from gql.app import create_app
from gql.door import Door
from gql.frames import Connection
from gql.guests import Guests
from gql.listening import HTTPConnection
from gql.proxies import Proxies
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations

GRACE = 2
"""Seconds that open requests and sockets have to end, while the collector flushes. The whole stays within 5."""
_UNSENT = 262_144
"""Bytes that the system keeps for a client; what is more waits here."""
_TURN = 0.001
"""Seconds that a thread may go on while another one waits. Long documents are read in one, which rests more often by
itself (gql.rests), but not within a step of the interpreter's own."""
KEEP_ALIVE = 75
"""Seconds that a connection may at least wait for its next request: longer than proxies keep theirs, or they lose
requests. It is closed within request_seconds more."""


def settle() -> None:
    """Leave all that was made by now, which stays, out of Python's garbage collections, and make those rarer; and let
    threads give way sooner.

    Rarer, but not rare: with 50,000 objects to look through nobody was answered for up to 50 ms, with these 2 to 3.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)
    sys.setswitchinterval(_TURN)


class _Server(uvicorn.Server):
    """uvicorn, whose signals are ours, and which says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        UserError: The address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise UserError(f"can't listen on {host} port {port}: {error}; choose another with --host, --port") from error
    # Connections inherit it: uvloop sets it for each of them, asyncio does not, and an answer in two parts takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Or the system takes 4 MB for each client that does not read, and we never learn that it does not.
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return listener


def _door(settings: Settings, host: str, proxies: Proxies) -> Door:
    """Lets in who knows the server by an allowed host, or by the address that it listens on."""
    own = [] if ip_address(host).is_unspecified else [f"[{host}]" if ":" in host else host]
    hosts = [*words(settings.allowed_hosts), *own]
    return Door(hosts, words(settings.allowed_origins), proxies, settings.limits)


def _more_files() -> None:
    """As many open files as the system lets this process have: the usual soft limit is 1,024 connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(
    settings: Settings,
    db: DatabaseOperations,
    listener: socket.socket,
    pairs: Collection[Pair],
    demo: Demo | None,
    ready: Callable[[str], None],
    *,
    insecure: bool = False,
) -> None:
    """Serve GraphQL on `listener` and collect `pairs`, until SIGINT or SIGTERM. `ready` is told the address once.

    `insecure` lets everybody do everything, wherever they come from.

    Raises:
        UserError: The address is not loopback, and there is no key or other means to tell who asks; or a setting can't
            be used.
        DatabaseUnavailable: The database can't be used at the start.
    """
    trusted = settings.trusted()
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    proxies = Proxies(words(settings.trusted_proxies))
    _more_files()
    async with AsyncExitStack() as stack:
        rest_url, ws_url = settings.okx_rest_url, settings.okx_ws_url
        if demo is not None:
            rest_url, ws_url = await stack.enter_async_context(demo.exchange())
        await stack.enter_async_context(db)
        access = await access_to(db.keys, settings, host, insecure)
        feed = await stack.enter_async_context(Feed(db, settings.bot_timeout, settings.hot_candles))
        made = collectors(pairs, db, feed, rest_url=rest_url, ws_url=ws_url)
        try:
            app = create_app(
                db,
                feed,
                bot_heartbeat_timeout=settings.bot_timeout,
                limits=settings.limits,
                trusted=trusted,
                rate_storage=settings.rate_limit_storage,
                metrics=[CollectorMetrics(made)] if made else (),
                access=access,
                door=_door(settings, host, proxies),
                graphiql=settings.graphiql,
            )
        except ConfigurationError as error:
            # Not the error's own text: that is the whole URL, with its password.
            raise UserError(
                "RATE_LIMIT_STORAGE: it can't be used; it is like redis://host:6379, and wants pip install '.[redis]'"
            ) from error
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            http=cast("type[asyncio.Protocol]", partial(HTTPConnection, Guests(settings.limits, proxies))),
            ws=Connection,
            proxy_headers=False,  # the door reads them, and only from those whose word counts
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            ws_per_message_deflate=settings.websocket_compression,
            ws_max_size=settings.max_message,
            ws_ping_interval=None,  # gql.sockets asks in the protocol's words, which a page can hear
            timeout_graceful_shutdown=GRACE,
        )
        server = _Server(config, lambda: ready(address))
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(collector.run()) for collector in made]
            background.append(tasks.create_task(access.run()))
            if demo is not None:
                background.append(tasks.create_task(demo.furnish(db, rest_url)))
            for collector in made:
                await collector.started()  # from here on markets shows what it follows
            settle()

            def stop() -> None:
                server.should_exit = True
                app.graphql.stopping.set()
                for task in background:
                    task.cancel()

            with on_signal(stop):
                await server.serve([listener])
            stop()
