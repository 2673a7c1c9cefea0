"""A pgbouncer before a database: the one that is installed, on a Unix socket."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


@asynccontextmanager
async def a_pgbouncer(url: str, mode: str, connections: int = 4) -> AsyncIterator[str]:
    """The URL of a pooler in `mode` (session, transaction) before `url`, which has that many connections to it."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    # Not tmp_path: that is too long for a socket, and another account could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="pgb-", dir="/tmp"))
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    user = parts.username or query["user"]
    target = {
        "host": parts.hostname or query["host"],
        "port": str(parts.port or query.get("port", 5432)),
        "dbname": parts.path.strip("/"),
        "user": user,
    }
    if parts.password:
        target["password"] = parts.password
    settings = {
        "unix_socket_dir": folder,
        "listen_port": 6432,
        "auth_type": "any",
        "pool_mode": mode,
        "default_pool_size": connections,
        "logfile": folder / "log",
    }
    lines = ["[databases]", "candles = " + " ".join(f"{name}={value}" for name, value in target.items())]
    lines += ["[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
    (folder / "ini").write_text("\n".join(lines) + "\n")
    account = {}
    if os.geteuid() == 0:  # which it refuses
        # The server's own account reaches its socket.
        at = target["host"]
        owner = os.stat(at).st_uid if at.startswith("/") else pwd.getpwnam("nobody").pw_uid  # noqa: PTH116
        account = {"user": owner, "group": pwd.getpwuid(owner).pw_gid, "extra_groups": []}
        os.chown(folder, account["user"], account["group"])
        (folder / "ini").chmod(0o644)
    process = await asyncio.create_subprocess_exec(
        PGBOUNCER, "-q", str(folder / "ini"), stderr=asyncio.subprocess.DEVNULL, **account
    )
    try:
        pooled = f"postgresql://{user}@/candles?host={folder}&port=6432"
        await _answers(pooled, process, folder)
        yield pooled
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        shutil.rmtree(folder)


async def _answers(url: str, process: asyncio.subprocess.Process, folder: Path) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                connection = await asyncpg.connect(url, statement_cache_size=0, timeout=5)
            except OSError:
                if process.returncode is not None:
                    pytest.fail(f"pgbouncer ended: {(folder / 'log').read_text()}")
                await asyncio.sleep(0.05)
            else:
                connection.terminate()
                return
