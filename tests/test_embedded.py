# ruff: noqa: ASYNC220, ASYNC222, ASYNC240
# Files and processes are the matter here, and no event tells what another process did to them.
import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from repos.embedded import postmaster
from repos.embedded import server as server_module
from repos.embedded.server import EmbeddedPostgres
from repos.errors import DatabaseUnavailable
from tests.conftest import FAST, a_folder

pytestmark = pytest.mark.anyio

AS_ROOT = os.geteuid() == 0
OWN = """
import asyncio, os, pathlib, sys
from repos.embedded.server import EmbeddedPostgres
server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), sys.argv[2:])
url = asyncio.run(server.start())
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with a stopped database in it."""
    with a_folder() as folder:
        server = EmbeddedPostgres(folder, FAST)
        asyncio.run(server.start())
        asyncio.run(server.stop())
        yield folder


@pytest.fixture
async def server(made: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A handle on that database, not yet started."""
    server = EmbeddedPostgres(made, FAST)
    yield server
    await server.stop()
    assert postmaster.running(made / "postgresql-18") is None


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def pid_of(folder: Path) -> int:
    process = postmaster.running(folder / "postgresql-18")
    assert process is not None
    return process.pid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_new_folder_becomes_a_private_database_that_keeps_its_data() -> None:
    with a_folder() as folder:
        first = EmbeddedPostgres(folder, FAST)
        url = await first.start()
        await ask(url, "CREATE TABLE kept AS SELECT 1 AS n")
        settings = await ask(
            url,
            "SELECT array[current_setting('server_version_num'), current_setting('listen_addresses'),"
            " current_setting('server_encoding'), datlocprovider::text, datlocale]"
            " FROM pg_database WHERE datname = current_database()",
        )
        await first.stop()
        second = EmbeddedPostgres(folder, FAST)
        kept = await ask(await second.start(), "SELECT n FROM kept")
        await second.stop()

        assert kept == 1
        assert settings[0].startswith("18")
        assert settings[1:] == ["", "UTF8", "b", "C.UTF-8"]
        assert mode(folder) == (0o711 if AS_ROOT else 0o700)
        assert mode(folder / "postgresql-18") == 0o700
        assert mode(folder / "lock") == 0o600
        assert (folder / "lock").stat().st_uid == os.geteuid()
        assert (folder / "postgresql-18").stat().st_uid == (
            pwd.getpwnam("candleql").pw_uid if AS_ROOT else os.geteuid()
        )


async def test_a_second_handle_attaches_and_leaves_the_server_running(server: EmbeddedPostgres, made: Path) -> None:
    url = await server.start()
    other = EmbeddedPostgres(made)

    attached = await other.start()
    await other.stop()

    assert attached == url
    assert (server.is_owner, other.is_owner) == (True, False)
    assert await ask(url, "SELECT 1") == 1


async def test_an_attached_handle_takes_over_when_the_owner_has_stopped(server: EmbeddedPostgres, made: Path) -> None:
    other = EmbeddedPostgres(made, FAST)
    await other.start()
    await server.start()
    await other.stop()

    url = await server.start()

    assert server.is_owner
    assert await ask(url, "SELECT 1") == 1


async def test_handles_that_start_together_agree_on_one_server(made: Path) -> None:
    handles = [EmbeddedPostgres(made, FAST) for _ in range(3)]

    urls = await asyncio.gather(*(handle.start() for handle in handles))

    assert len(set(urls)) == 1
    assert sum(handle.is_owner for handle in handles) == 1
    for handle in handles:
        await handle.stop()


async def test_start_is_idempotent_and_stop_too(server: EmbeddedPostgres, made: Path) -> None:
    url = await server.start()
    pid = pid_of(made)

    again = await server.start()
    await server.stop()
    await server.stop()

    assert again == url
    assert not psutil.pid_exists(pid)


async def test_a_server_that_died_is_started_anew(server: EmbeddedPostgres, made: Path) -> None:
    await server.start()
    died = pid_of(made)
    os.kill(died, signal.SIGKILL)
    while postmaster.running(made / "postgresql-18"):
        await asyncio.sleep(0)

    url = await server.start()

    assert pid_of(made) != died
    assert await ask(url, "SELECT 1") == 1


async def test_a_frozen_server_is_not_waited_for_and_the_next_owner_starts_another(
    server: EmbeddedPostgres, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "STOPS_WITHIN", 0.1)
    await server.start()
    frozen = pid_of(made)
    os.kill(frozen, signal.SIGSTOP)

    async with asyncio.timeout(5):
        await server.stop()
    monkeypatch.undo()
    starting = asyncio.create_task(server.start())
    os.kill(frozen, signal.SIGCONT)
    url = await starting

    assert pid_of(made) != frozen
    assert await ask(url, "SELECT 1") == 1


async def test_a_killed_owner_s_server_is_adopted_even_while_its_forked_child_lives(
    server: EmbeddedPostgres, made: Path
) -> None:
    # The child tells its id itself, when it has given the lock up.
    child = "os.fork() or print(os.getpid(), flush=True); os.read(0, 1)"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWN + child, made, *FAST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    forked = int(owner.stdout.readline())
    pid = pid_of(made)
    owner.kill()
    owner.wait()

    url = await server.start()

    assert psutil.pid_exists(forked)
    assert (server.is_owner, pid_of(made)) == (True, pid)
    assert await ask(url, "SELECT 1") == 1
    await server.stop()
    assert not psutil.pid_exists(pid)
    os.kill(forked, signal.SIGKILL)
    owner.stdout.close()
    assert owner.stdin is not None
    owner.stdin.close()


async def test_a_script_that_forgets_to_stop_leaves_no_server_behind(made: Path) -> None:
    script = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", OWN + "print(url)", made, *FAST],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "postgresql://" in script.stdout
    assert postmaster.running(made / "postgresql-18") is None


@pytest.mark.parametrize("alive", [True, False], ids=["another program", "a zombie"])
async def test_a_dead_server_s_pid_in_other_hands_counts_as_dead(
    server: EmbeddedPostgres, made: Path, alive: bool
) -> None:
    await server.start()
    text = (made / "postgresql-18" / "postmaster.pid").read_text()
    await server.stop()
    data = made / "postgresql-18"
    # One of another account's does not count for PostgreSQL.
    owner = {"user": data.stat().st_uid, "group": data.stat().st_gid}
    with subprocess.Popen(["sleep", "60"] if alive else ["true", data], **owner) as holder:
        if not alive:
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        _, _, rest = text.partition("\n")
        (data / "postmaster.pid").write_text(f"{holder.pid}\n{rest}")
        (data / ".s.PGSQL.5432.lock").write_text(f"{holder.pid}\n{rest}")
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            shutil.chown(data / name, data.stat().st_uid, data.stat().st_gid)

        url = await server.start()

        assert await ask(url, "SELECT 1") == 1
        holder.kill()


@pytest.mark.parametrize("name", ["x" * 90, "a, b:c%20ü"], ids=["too long", "odd characters"])
async def test_a_path_unfit_for_a_socket_gets_a_private_folder_for_it(made: Path, name: str) -> None:
    moved = made.with_name(name)
    made.rename(moved)
    try:
        server, other = EmbeddedPostgres(moved, FAST), EmbeddedPostgres(moved)

        url = await server.start()

        named = postmaster.read(moved / "postgresql-18")
        assert named is not None
        assert named.sockets is not None
        assert named.sockets.parent == Path("/tmp")  # noqa: S108
        assert mode(named.sockets) == 0o700
        assert await other.start() == url
        await other.stop()
        assert await ask(url, "SELECT 1") == 1
        await server.stop()
        assert not named.sockets.exists()
    finally:
        moved.rename(made)


async def test_a_start_that_was_cut_short_is_done_again() -> None:
    with a_folder() as folder:
        partial = folder / "postgresql-18.partial"
        partial.mkdir(parents=True)
        folder.chmod(0o711)
        (partial / "of an initdb that was killed").touch()
        server = EmbeddedPostgres(folder, FAST)
        starting = asyncio.create_task(server.start())
        while not (partial / "PG_VERSION").exists():
            await asyncio.sleep(0)

        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        url = await server.start()

        assert await ask(url, "SELECT 1") == 1
        await server.stop()
        assert postmaster.running(folder / "postgresql-18") is None


async def test_a_server_that_does_not_start_says_why_in_one_line(made: Path) -> None:
    version = made / "postgresql-18" / "PG_VERSION"
    version.write_text("17\n")

    with pytest.raises(DatabaseUnavailable, match=r"did not start: .*initialized by PostgreSQL version 17") as raised:
        await EmbeddedPostgres(made).start()

    version.write_text("18\n")
    assert "\n" not in str(raised.value)


async def test_a_folder_that_can_t_be_made_is_named_in_one_line() -> None:
    with tempfile.NamedTemporaryFile() as file, pytest.raises(DatabaseUnavailable, match=file.name) as raised:
        await EmbeddedPostgres(Path(file.name) / "data").start()

    assert "\n" not in str(raised.value)


as_root = pytest.mark.skipif(not AS_ROOT, reason="only root can take on another user")


forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
