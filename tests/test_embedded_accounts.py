"""Under which account the embedded server runs: its own under root, else the user."""

import asyncio
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from repos.embedded.account import Account, server_account
from repos.embedded.binaries import binaries
from repos.embedded.server import EmbeddedPostgres, default_data_dir
from repos.errors import DatabaseUnavailable
from tests.conftest import FAST, a_folder
from tests.test_embedded import AS_ROOT, as_root, ask, forks, made, mode, pid_of, server

pytestmark = pytest.mark.anyio
__all__ = ["made", "server"]


def test_the_data_folder_is_the_user_s_own() -> None:
    if AS_ROOT:
        assert default_data_dir({"XDG_DATA_HOME": "/elsewhere"}) == Path("/var/lib/candleql")
    else:
        assert default_data_dir({"XDG_DATA_HOME": "/elsewhere"}) == Path("/elsewhere/candleql")
        assert default_data_dir({"XDG_DATA_HOME": "not/absolute"}) == Path.home() / ".local/share/candleql"
        assert default_data_dir({}) == Path.home() / ".local/share/candleql"


@as_root
async def test_under_root_a_folder_out_of_the_account_s_reach_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    before = mode(tmp_path)

    with pytest.raises(DatabaseUnavailable, match="the user candleql, as whom PostgreSQL runs under root, can't reach"):
        await EmbeddedPostgres(tmp_path / "data").start()

    assert mode(tmp_path) == before == 0o700


@as_root
async def test_under_root_binaries_out_of_the_account_s_reach_are_copied(
    server: EmbeddedPostgres, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries(Account(), tmp_path).parent.parent
    for part in (installed, installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(part, tmp_path / part.name, ignore=shutil.ignore_patterns("pginstall", "include", "*.a"))
    monkeypatch.syspath_prepend(tmp_path)
    (made / "binaries-0.1").mkdir()

    url = await server.start()

    assert await ask(url, "SELECT 1") == 1
    process = psutil.Process(pid_of(made))
    account = pwd.getpwnam("candleql")
    assert Path(process.exe()).is_relative_to(made)
    assert (process.uids().real, process.gids().real) == (account.pw_uid, account.pw_gid)
    assert os.getgrouplist("candleql", account.pw_gid) == [account.pw_gid]
    assert not (made / "binaries-0.1").exists()
    await server.stop()
    shutil.rmtree(next(made.glob("binaries-*")))  # noqa: ASYNC240 -- nothing waits meanwhile


def as_user(user: int, work: Callable[[], object]) -> str:
    """What `work` returns or raises in a child process of that user: a fork, so Python may be out of its reach."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.write(writing, str(work()).encode())
        except BaseException as error:  # noqa: BLE001
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@as_root
@forks
def test_an_ordinary_user_runs_the_server_itself() -> None:
    nobody = pwd.getpwnam("nobody")
    try:
        binaries(Account(nobody.pw_uid, nobody.pw_gid), Path("/nonexistent"))
    except OSError:
        pytest.skip("an ordinary user can't reach the wheel here")

    async def work() -> tuple[object, int, int]:
        server = EmbeddedPostgres(folder / "data", FAST)
        answer = await ask(await server.start(), "SELECT 1")
        runs_as = psutil.Process(pid_of(folder / "data")).uids().real
        await server.stop()
        return answer, runs_as, mode(folder / "data")

    with a_folder() as folder:
        folder.mkdir()
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)

        said = as_user(nobody.pw_uid, lambda: asyncio.run(work()))

        assert said == str((1, nobody.pw_uid, 0o700))


@as_root
@forks
def test_a_user_without_a_passwd_entry_is_told_in_one_line() -> None:
    said = as_user(54321, server_account)

    assert "needs an entry in /etc/passwd for the uid 54321" in said
