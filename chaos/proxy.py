"""A TCP proxy on loopback that can do what networks do: cut, stall, and forget connections without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK = 64 * 1024


class Link:
    """One connection through the proxy. `dead`: what is sent either way vanishes, and no end hears of the other's."""

    def __init__(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.writers = writers
        self.dead = False

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Passes connections on to `host` and `port`, while it is entered."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._links: set[Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Listen; the port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self._flowing.set()
            self.cut()
            if self._serving:
                await asyncio.wait(self._serving)
            await server.wait_closed()

    def cut(self) -> None:
        """Close every connection at both ends, in the middle of whatever is on its way."""
        for link in self._links:
            link.cut()

    def stall(self) -> None:
        """Hold back everything, in both directions, until flow()."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def half_open(self) -> None:
        """Lose all that is sent over the present connections from now on; none is closed."""
        for link in self._links:
            link.dead = True

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = Link((writer, far_writer))
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, reader, far_writer))
                tasks.create_task(self._pump(link, far_reader, writer))
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                if not link.dead:
                    writer.write(data)
                    await writer.drain()
        if not link.dead:
            writer.close()
