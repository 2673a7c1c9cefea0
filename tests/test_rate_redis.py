"""Points that several servers count together, in a Redis of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from gql.rate import Accounts, Exhausted

pytestmark = pytest.mark.anyio

REDIS = shutil.which("redis-server")


@pytest.fixture
async def redis(tmp_path) -> AsyncIterator[str]:
    """The URL of one that listens to a Unix socket alone."""
    if REDIS is None:
        pytest.skip("there is no Redis to test with: apt-get install redis-server")
    socket = tmp_path / "socket"
    process = await asyncio.create_subprocess_exec(
        REDIS, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while b"eady to accept connections" not in await process.stdout.readline():
                pass
        yield f"redis+unix://{socket}"
    finally:
        process.terminate()
        await process.communicate()


async def test_servers_count_a_client_s_points_together(redis):
    servers = [Accounts(1_000, redis) for _ in range(2)]

    for charged in range(140):
        await servers[charged % 2].charge("one", 7)

    # Of the 20 points left each holds a block of 10 at most that the other can't spend.
    for server in servers:
        with pytest.raises(Exhausted):
            await server.charge("one", 21)
    assert await servers[0].charge("other", 900) == 100
    for server in servers:
        await server._limiter.storage.bridge.storage.aclose()
