"""Which database is meant: by one rule, for the command line and for Python."""

import logging
from pathlib import Path

import pytest

from candleql.database import database
from candleql.errors import UserError
from candleql.settings import Settings, read_settings
from repos import operations
from repos.address import environment
from repos.domain import InvalidValue
from repos.embedded.server import EmbeddedPostgres
from repos.operations import DatabaseOperations, get_database_operations
from tests.conftest import a_database, a_folder

pytestmark = pytest.mark.anyio

_NAMES = [
    *("DATABASE_URL", "DATABASE_LISTEN_URL", "DATABASE_POOL_SIZE", "DEBUG"),
    *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a .env file, and no variable that names a database."""
    monkeypatch.chdir(tmp_path)
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(operations, "_operations", {})
    return tmp_path


def place(db: DatabaseOperations) -> tuple[object, ...]:
    found, listen_url = db._connections.database, db._connections.listen_url
    return found.data_dir if isinstance(found, EmbeddedPostgres) else found, listen_url, db._logs._log_sql


async def test_what_python_stores_is_in_the_database_that_a_env_file_names(elsewhere: Path, server_url: str) -> None:
    async with a_database(server_url) as url:
        (elsewhere / ".env").write_text(f"DATABASE_URL='{url}'\n")
        async with get_database_operations() as db:
            bot = await db.bots.add({"name": "a", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"})

        async with database(read_settings(), None) as served:
            assert await served.bots.get_by_name("a") == bot


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DATABASE_URL=postgresql://a@b/c",
        "database_url=postgresql://a@b/c",
        "export DATABASE_URL='postgresql://a@b/c'  # ours\n",
        "\ufeffDATABASE_URL=postgresql://a@b/c",
        "NAME=c\nDATABASE_URL=postgresql://a@b/${NAME}",
        "DATABASE_URL=\nDATABASE_LISTEN_URL=\nPOSTGRES_HOST=db\nPOSTGRES_PASSWORD='a@b #c'\nDEBUG=true",
        "DATABASE_URL",
        "POSTGRES_DB=candles\nPOSTGRES_PORT=6432\nDEBUG=Yes",
        "DATABASE_URL=postgres://a@b/c\nDATABASE_LISTEN_URL=postgres://a@d/c\nDEBUG=0",
        "DEBUG=t",
    ],
)
@pytest.mark.parametrize("variables", [{}, {"POSTGRES_HOST": "elsewhere"}, {"DATABASE_URL": ""}, {"DEBUG": "false"}])
def test_a_env_file_counts_for_python_as_for_the_command_line(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, text: str, variables: dict[str, str]
) -> None:
    (elsewhere / ".env").write_text(text, encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert place(get_database_operations()) == place(database(read_settings(), None))


def test_the_environment_wins_over_a_env_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".env").write_text("DATABASE_URL=postgresql://a@file/c\nPOSTGRES_USER=x\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://a@environment/c")

    assert place(get_database_operations())[0] == "postgresql://a@environment/c"
    assert environment()["POSTGRES_USER"] == "x"


def test_a_mark_of_utf8_before_the_first_name_is_skipped(elsewhere: Path) -> None:
    (elsewhere / ".env").write_text("\ufeffDATABASE_URL=postgresql://a@b/c", encoding="utf-8")

    assert place(get_database_operations())[0] == "postgresql://a@b/c"


def test_a_env_file_that_is_not_utf8_is_told_to_both(elsewhere: Path) -> None:
    (elsewhere / ".env").write_bytes(b"POSTGRES_PASSWORD=\xe4\n")

    with pytest.raises(InvalidValue, match=r"^\.env: not UTF-8"):
        get_database_operations()
    with pytest.raises(UserError, match=r"^\.env: not UTF-8"):
        read_settings()


def test_a_data_folder_that_is_named_wins_over_the_environment_and_has_one_object(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text("DATABASE_URL=postgresql://a@b/c\n")

    db = get_database_operations(data_dir="candles")

    assert place(db) == place(database(read_settings(), Path("candles")))
    assert place(db) == (elsewhere / "candles", None, False)
    assert get_database_operations(data_dir=elsewhere / "candles") is db
    assert get_database_operations() is not db


def test_a_url_beside_a_data_folder_is_refused() -> None:
    with pytest.raises(InvalidValue, match="data_dir: "):
        get_database_operations("postgresql://a@b/c", data_dir="candles")


def test_the_size_of_the_pool_is_one_for_both(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".env").write_text("DATABASE_URL=postgresql://a@b/c\nDATABASE_POOL_SIZE=3\n")

    assert get_database_operations().engine.pool.size() == database(read_settings(), None).engine.pool.size() == 3

    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    with pytest.raises(InvalidValue, match="DATABASE_POOL_SIZE: it must be a whole number from 1 to 1000"):
        get_database_operations("postgresql://a@b/d")


MISSPELT = "DATABASE_ULR=x\nPOSTGRES_PASS=x\nDATABASE_URL_TEST=x\nAWS_REGION=x\nDEBUG=true\nLOG_LEVLE=info\n"
"""The last of them is none that Python is told by."""
OF_DATABASES = [
    "A name in .env is not known; is it misspelt? name=DATABASE_ULR nearest=DATABASE_URL",
    "A name in .env is not known; is it misspelt? name=POSTGRES_PASS nearest=POSTGRES_PASSWORD",
]


def test_a_misspelt_name_in_a_env_file_is_told_once_to_the_logger_of_a_python_program(
    elsewhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (elsewhere / ".env").write_text(MISSPELT)
    logger = logging.getLogger("a program")

    for _ in range(2):
        get_database_operations(logger)

    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("a program", told) for told in OF_DATABASES
    ]


def test_no_right_name_is_taken_for_a_misspelt_one_by_python(elsewhere: Path, caplog: pytest.LogCaptureFixture) -> None:
    (elsewhere / ".env").write_text("".join(f"{name.upper()}=\n" for name in Settings.model_fields))

    get_database_operations(logging.getLogger("a program"))

    assert not caplog.records


async def test_python_works_on_a_data_folder_of_its_own() -> None:
    with a_folder() as folder:
        async with get_database_operations(data_dir=folder) as db:
            assert await db.bots.count() == 0
        assert (folder / "lock").exists()
