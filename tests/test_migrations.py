import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.migrations.upgrade import KNOWN, alembic_config, connected, migrate
from tests.conftest import a_database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fresh_url(server_url: str) -> AsyncIterator[str]:
    """The URL of an empty database."""
    async with a_database(server_url) as url:
        yield url


async def run(url: str, work: Callable[[Config], object]) -> object:
    async with connected(url) as connection, connection.begin():
        return await connection.run_sync(lambda sync: work(alembic_config(sync)))


async def tables(url: str) -> set[str]:
    async with connected(url) as connection:
        return set(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))


async def test_the_migrations_make_exactly_the_tables_of_the_code(database_url: str) -> None:
    await run(database_url, command.check)  # raises when autogenerate would find a difference


async def test_the_alembic_command_works_from_the_project_s_folder(database_url: str) -> None:
    checked = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "alembic", "-x", f"url={database_url}", "check"],
        cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (checked.returncode, checked.stderr) == (0, "")


async def test_migrations_can_be_undone_and_done_again(fresh_url: str) -> None:
    await migrate(fresh_url)

    await run(fresh_url, lambda config: command.downgrade(config, "base"))
    undone = await tables(fresh_url)
    await migrate(fresh_url)

    assert undone == {"alembic_version"}
    await run(fresh_url, command.check)


async def test_processes_that_start_together_migrate_once(fresh_url: str) -> None:
    await asyncio.gather(*(migrate(fresh_url) for _ in range(4)))

    assert "market_data" in await tables(fresh_url)


async def test_a_database_newer_than_the_code_is_refused_in_one_line(fresh_url: str) -> None:
    await migrate(fresh_url)
    async with connected(fresh_url) as connection, connection.begin():
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(DatabaseOperationError, match=r"at revision 9999, but this candleql knows none after") as raised:
        await migrate(fresh_url)

    assert "\n" not in str(raised.value)


async def test_an_unreachable_database_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="migrating the database"):
        await migrate(f"postgresql://nobody@/nothing?host={tmp_path}")


def test_revisions_are_numbered_by_their_files() -> None:
    scripts = ScriptDirectory(str(Path(sys.modules[migrate.__module__].__file__ or "").parent))

    assert [script.revision for script in scripts.walk_revisions()] == KNOWN[::-1]
