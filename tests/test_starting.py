"""What a command tells when it begins its work, and what it takes where nothing is said."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from candleql.configuration import configuration
from collector.config import DEFAULT, load_config
from repos.address import place_of
from tests.conftest import a_database

pytestmark = pytest.mark.anyio
TREE = Path(__file__).parent.parent
NOWHERE = {"OKX_REST_URL": "http://127.0.0.1:9", "OKX_WS_URL": "ws://127.0.0.1:9"}


@contextmanager
def told(folder: Path, *words: str, until: str, **variables: str) -> Iterator[list[dict[str, str]]]:
    """The log of a command in `folder`, as far as the event `until`; it runs meanwhile, and is ended well."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DEBUG")}
    with subprocess.Popen(
        [sys.executable, "-m", "candleql", *words],
        cwd=folder, env=kept | {"LOG_FORMAT": "json"} | NOWHERE | variables, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        lines: list[str] = []
        try:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if f'"{until}"' in line:
                    break
            assert process.poll() is None, lines
            yield [json.loads(line) for line in lines]
            process.terminate()
            _, rest = process.communicate(timeout=60)
            assert process.returncode == 0, [*lines, rest]
        finally:
            process.kill()


def event(lines: list[dict[str, str]], name: str) -> dict[str, str]:
    [found] = [line for line in lines if line["event"] == name]
    return found


def test_the_version_is_that_of_the_package():
    said = subprocess.run([sys.executable, "-m", "candleql", "--version"], capture_output=True, text=True, check=True)

    assert said.stdout == f"candleql {version('candleql')}\n"
    assert f'version = "{version("candleql")}"' in (TREE / "pyproject.toml").read_text()


async def test_serve_tells_its_database_what_it_collects_and_where_it_listens(tmp_path: Path, server_url: str) -> None:
    pairs = [
        {"symbol": f"A{i}-USDT", "data_types": ["trade", "ticker"], "store_raw_data": True, "timeframes": ["1h", "5s"]}
        for i in range(12)
    ]
    (tmp_path / "okx_config.json").write_text(json.dumps({"trading_pairs": pairs}))
    async with a_database(server_url) as url:
        secret = urlsplit(url).password or "top-secret"  # which our own server does not ask for
        at = url if urlsplit(url).password else url.replace("@", f":{secret}@", 1)
        with told(tmp_path, "serve", "--port", "0", until="Listening", DATABASE_URL=at) as lines:
            whole = json.dumps(lines)

    used, collected, listening = (event(lines, name) for name in ("Using the database", "Collecting", "Listening"))
    asked = parse_qs(urlsplit(url).query)
    name = urlsplit(url).path.strip("/")
    assert (used["host"], used["port"], used["database"], used["user"]) == (
        urlsplit(url).hostname or asked["host"][0], str(urlsplit(url).port or asked["port"][0]), name,
        urlsplit(url).username,
    )  # fmt: skip
    assert collected["symbols"] == ", ".join(f"A{i}-USDT" for i in range(10)) + " and 2 more"
    assert (collected["data_types"], collected["timeframes"]) == ("ticker, trade", "5s, 1h")
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", listening["address"])
    assert f":{secret}@" not in whole


async def test_collect_tells_what_it_does_where_nothing_is_configured(tmp_path: Path, server_url: str) -> None:
    async with a_database(server_url) as url:
        with told(tmp_path, "collect", until="Collecting", DATABASE_URL=url) as lines:
            pass

    default = event(lines, "No okx_config.json in this folder, so the default")
    assert (default["symbols"], default["folder"]) == ("BTC-USDT, ETH-USDT, SOL-USDT", str(tmp_path))
    assert event(lines, "Collecting")["symbols"] == default["symbols"]
    assert event(lines, "Using the database")["database"] == urlsplit(url).path.strip("/")


async def test_serve_without_collecting_says_so(tmp_path: Path, server_url: str) -> None:
    async with a_database(server_url) as url:
        words = ("serve", "--no-collect", "--port", "0")
        with told(tmp_path, *words, until="Listening", DATABASE_URL=url) as lines:
            pass

    assert [line["event"] for line in lines] == ["Using the database", "Collecting nothing", "Listening"]


def test_the_default_is_the_committed_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert configuration(None) == DEFAULT == load_config(TREE / "okx_config.json")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:secret@db:5433/candles", ("db", "5433", "candles", "me")),
        ("postgresql://me@a:5432,[::1]:5433/candles", ("a,[::1]", "5432,5433", "candles", "me")),
        ("postgresql://me@[::1]/candles", ("[::1]", "5432", "candles", "me")),
        ("postgresql://m%40e:secret@/candles?host=/run&port=7", ("/run", "7", "candles", "m@e")),
        ("postgresql://?user=me&password=secret", ("localhost", "5432", "me", "me")),
    ],
)
def test_the_place_of_a_database_is_whole_where_its_url_is_not(monkeypatch, url, place):
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)

    assert tuple(place_of(url).values()) == place
