"""An ASGI app served inside another program's event loop, by uvicorn's own HTTP protocol.

`uvicorn.Server` would do the same, but takes the process's signals and polls ten times a second for its end.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

PATIENCE = 0.3
"""Seconds that requests under way have at the end."""


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Answer on `listener`, which is closed at the end, and no request outlives it."""

    async def ended(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):  # uvicorn would log it, with a traceback
            await app(scope, receive, send)

    config = uvicorn.Config(ended, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpToolsProtocol(config, state, {}), sock=listener, ssl=tls
    )
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            _, late = await asyncio.wait(state.tasks, timeout=PATIENCE)
            for connection in list(state.connections):
                connection.transport.abort()  # nobody is left to hear an answer
            for task in late:
                task.cancel()
        await server.wait_closed()
