"""The commands as a user types them: real processes, a real database, real sockets."""

import gzip
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import structlog
from websockets.sync.client import connect

from candleql.cli import main

CANDLEQL = [sys.executable, "-m", "candleql"]
CAPTURES = Path(__file__).parent / "captures"
CONFIG = {
    "exchange": "okx",
    "trading_pairs": [{"symbol": "BTC-USDT", "data_types": ["trade"], "timeframes": ["5s", "1m"]}],
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that the server's account can enter; tmp_path is neither under root."""
    made = Path(tempfile.mkdtemp(prefix="cq-"))
    made.chmod(0o755)
    (made / "okx_config.json").write_text(json.dumps(CONFIG))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DEBUG")}
    return kept | changes


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CANDLEQL, *words],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def in_process(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command that fails, without a process of its own; its exit code and what it says."""
    handlers, level = logging.root.handlers, logging.root.level
    configuration = structlog.get_config() if structlog.is_configured() else None
    monkeypatch.chdir(folder)
    for name in ("DATABASE_URL", "DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def run_here(*words: str, **variables: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["candleql", *words])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as exited:
            main()
        return exited.value.code, capsys.readouterr().err

    yield run_here
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    if configuration is not None:
        structlog.configure(**configuration)


@contextmanager
def serving(folder: Path, *words: str, end: int = signal.SIGTERM) -> Iterator[str]:
    """A running `serve`, by its address; ended by `end`."""
    server = subprocess.Popen(
        [*CANDLEQL, "serve", "--port", "0", "--data-dir", "data", *words],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"http://\S+/graphql", line)
        assert found, line + (server.stderr.read() if server.stderr else "")
        yield found[0]
        server.send_signal(end)
        out, err = server.communicate(timeout=10)
        assert server.returncode == (-end if end == signal.SIGKILL else 0), out + err
    finally:
        server.kill()
        server.communicate()


def ask(url: str, query: str) -> dict:
    answer = httpx2.post(url, json={"query": query}, timeout=20).json()
    assert "errors" not in answer, answer
    return answer["data"]


def follow(url: str, query: str, enough) -> list[dict]:
    """The events of a subscription until `enough(events)`."""
    events: list[dict] = []
    with connect(url.replace("http", "ws"), subprotocols=["graphql-transport-ws"]) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        while not enough(events):
            message = json.loads(socket.recv(timeout=20))
            assert message["type"] == "next", message
            (event,) = message["payload"]["data"].values()
            events.append(event)
    return events


def kinds(events: list[dict]) -> set[str]:
    return {event["kind"] for event in events}


CANDLES = (
    'subscription { candles(symbol: "BTC-USDT", timeframe: "5s") '
    "{ kind candle { timestamp close tradeCount isFinal } } }"
)
MINUTES = 'subscription { candles(symbol: "BTC-USDT", timeframe: "1m") { kind gap { start end } } }'
SPAN = '{ rawTrades(symbol: "BTC-USDT", last: 1000) { nodes { trade { tradeId } } } }'


def ids(url: str) -> list[int]:
    return sorted(int(node["trade"]["tradeId"]) for node in ask(url, SPAN)["rawTrades"]["nodes"])


def until_whole(url: str) -> list[int]:
    """The ids of the newest trades, once those of the time without a collector are read back."""
    deadline = time.monotonic() + 30
    while True:
        found = ids(url)
        if found == list(range(found[0], found[-1] + 1)) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_the_demo_moves_and_goes_on_after_a_restart_and_after_a_kill(folder):
    with serving(folder, "--demo") as url:
        events = follow(url, CANDLES, lambda events: {"FORMING", "CLOSED"} <= kinds(events))
        bots = ask(url, "{ bots { nodes { name status } } }")["bots"]["nodes"]
    with serving(folder, "--demo", end=signal.SIGKILL) as url:
        follow(url, CANDLES, lambda events: "FORMING" in kinds(events))
        after_restart = until_whole(url)
    with serving(folder, "--demo") as url:
        follow(url, CANDLES, lambda events: "FORMING" in kinds(events))
        after_kill = until_whole(url)
        health = ask(url, "{ health { healthy } }")["health"]
        metrics = httpx2.get(url.replace("graphql", "metrics"), timeout=20).text

    assert {event["candle"]["isFinal"] for event in events if event["kind"] == "FORMING"} == {False}
    assert [bot["status"] for bot in bots] == ["ACTIVE", "PAUSED", "INACTIVE"]
    assert after_restart == list(range(after_restart[0], after_restart[-1] + 1))
    assert after_kill == list(range(after_kill[0], after_kill[-1] + 1))
    assert health == {"healthy": True}
    assert 'candleql_open_gaps{exchange="okx",symbol="BTC-USDT"}' in metrics


def test_a_second_terminal_works_beside_a_running_server(folder):
    with serving(folder, "--no-collect") as url:
        replayed = run(folder, "replay", *map(str, CAPTURES.iterdir()), "--data-dir", "data")
        migrated = run(folder, "migrate", "--data-dir", "data")
        markets = ask(url, "{ markets { symbol timeframe candleCount isCollected } }")["markets"]

    assert (replayed.returncode, migrated.returncode) == (0, 0), replayed.stderr
    assert migrated.stdout == "The database is up to date.\n"
    assert any(int(market["candleCount"]) > 0 for market in markets)


def test_candles_are_deleted_beside_a_running_server_and_its_subscribers_hear(folder):
    words = "delete", "BTC-USDT", "1m", "--start", "2024-01-01", "--end", "2024-01-02", "--data-dir", "data"
    candle = """mutation { upsertCandle(input: {symbol: "BTC-USDT", timeframe: "1m", startTime: "2024-01-01T12:00:00Z",
        open: "1", high: "1", low: "1", close: "1", volume: "1"}) { stored } }"""
    heard = []

    with serving(folder, "--no-collect") as url:
        ask(url, candle)

        def on(events):
            if events and not heard:
                heard.append(run(folder, *words))
            return "DELETED" in kinds(events)

        events = follow(url, MINUTES, on)
        again = run(folder, *words)

    [deleted] = heard
    assert (deleted.returncode, deleted.stdout) == (0, "BTC-USDT 1m: 1 candles deleted\n"), deleted.stderr
    assert (again.returncode, again.stdout) == (0, "BTC-USDT 1m: 0 candles deleted\n"), again.stderr
    assert [event["kind"] for event in events] == ["SNAPSHOT", "DELETED"]
    assert events[1]["gap"] == {"start": "2024-01-01T00:00:00.000Z", "end": "2024-01-02T00:00:00.000Z"}


def test_the_command_line_comes_without_what_most_commands_can_do_without():
    heavy = {"alembic", "asyncpg", "cryptography", "graphql", "sqlalchemy", "starlette", "strawberry", "uvicorn"}
    program = f"import sys, candleql.cli; print({heavy} & sys.modules.keys())"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert loaded.stdout == "set()\n"


def test_collect_without_serving_ends_on_a_signal(folder):
    variables = {"OKX_REST_URL": "http://127.0.0.1:9", "OKX_WS_URL": "ws://127.0.0.1:9"}
    collector = subprocess.Popen(
        [*CANDLEQL, "collect", "--data-dir", "data"],
        cwd=folder,
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )

    try:
        assert collector.stderr is not None
        first = collector.stderr.readline()
        collector.send_signal(signal.SIGINT)
        _, err = collector.communicate(timeout=10)
    finally:
        collector.kill()
        collector.communicate()

    assert collector.returncode == 0, first + err
    assert "Traceback" not in first + err


def test_a_server_knows_what_a_collector_beside_it_follows(folder):
    away = environment(OKX_REST_URL="http://127.0.0.1:9", OKX_WS_URL="ws://127.0.0.1:9")
    asked = "{ markets { symbol timeframe isCollected } health { feeds { symbol connected } } }"
    both = [{"symbol": "BTC-USDT", "timeframe": timeframe, "isCollected": True} for timeframe in ("1m", "5s")]

    def until(url: str, markets: list[dict]) -> dict:
        deadline = time.monotonic() + 60
        while (found := ask(url, asked))["markets"] != markets and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    with serving(folder, "--no-collect") as url:
        none = ask(url, asked)
        collector = subprocess.Popen(
            [*CANDLEQL, "collect", "--data-dir", "data"], cwd=folder, env=away, stderr=subprocess.DEVNULL
        )
        try:
            during = until(url, both)
            collector.send_signal(signal.SIGTERM)
            code = collector.wait(timeout=20)
        finally:
            collector.kill()
            collector.wait()
        after = until(url, [])
    with serving(folder) as url:
        alone = ask(url, asked)

    assert none == {"markets": [], "health": {"feeds": []}}
    assert during == {"markets": both, "health": {"feeds": [{"symbol": "BTC-USDT", "connected": False}]}}
    assert (code, after) == (0, none)
    assert alone["markets"] == both


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"Dear Sir,\n\nnothing of this was recorded.\n" * 2_000, id="a text"),
        pytest.param(b'{"name": "candleql", "exchange": "okx"}\n', id="JSON of something else"),
        pytest.param(bytes(range(256)) * 1_000, id="binary"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\n\n", id="blank"),
        pytest.param(gzip.compress(b"Dear Sir,\n"), id="a text, compressed"),
        pytest.param(gzip.compress(b"Dear Sir,\n")[:-9], id="cut off before anything"),
        pytest.param(None, id="a folder"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_before_anything_is_stored(in_process, tmp_path, content):
    other = tmp_path / "other"
    if content is None:
        other.mkdir()
    else:
        other.write_bytes(content)

    code, err = in_process("replay", str(CAPTURES / "session.ws.1.0"), str(other))

    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith(f"candleql: {other}: ")
    assert "no recording" in err


@pytest.mark.parametrize("broken", ["cut off", "damaged"])
def test_a_compressed_recording_that_breaks_midway_keeps_what_came_before(folder, broken):
    session = (CAPTURES / "session.ws.1.0").read_bytes() * 400
    data = bytearray(gzip.compress(session))
    if broken == "cut off":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 :] = b"?" * 1_000
    (folder / "session.gz").write_bytes(data)

    first = run(folder, "replay", "session.gz", "--data-dir", "data")
    whole = run(folder, "replay", str(CAPTURES / "session.ws.1.0"), "--data-dir", "data")

    assert first.returncode == 2
    assert first.stderr.splitlines()[-1].startswith("candleql: session.gz:")
    assert first.stderr.endswith("; what came before is stored\n")
    assert "0 new" in whole.stdout


def test_a_replay_says_what_it_did_not_use_and_which_candles_are_partial(folder):
    archive = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm"
    (folder / "candles.csv").write_text(f"{archive}\n" + "A-B,1,2,0.5,1,7,3,3,1763913600000,1\n" * 3)
    (folder / "rest").write_text('{"code":"0","msg":"","data":[]}\n' * 2)
    future = '{"instId":"A-B","tradeId":"7","px":"1","sz":"1","side":"buy","ts":"9000000000000"}'
    (folder / "future").write_text(f'{{"arg":{{"channel":"trades","instId":"A-B"}},"data":[{future}]}}\n')
    told = run(
        folder, "replay", "candles.csv", "rest", "future", str(CAPTURES / "session.ws.1.0"),
        "--data-dir", "data", "--timeframes", "1m,1h",
    )  # fmt: skip

    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert "Not used:" in lines
    assert "         3  archive candle" in lines
    assert "         2  REST reply" in lines
    assert "4 lines could not be read; the log has their text" in lines
    assert "1 trades or objects were refused as malformed; the log has their text" in lines
    (pear,) = (line for line in lines if line.startswith("PEAR-USDT: trades from "))
    assert "To mend them: candleql backfill PEAR-USDT -t 1m,1h --since " in pear
    assert pear.endswith(":00:00 --mend")


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        pytest.param(
            ["serve", "--port", "0", "--config", "none.json"], {}, "none.json: No such file", id="no configuration"
        ),
        pytest.param(["replay", "none.jsonl"], {}, "none.jsonl: no such file", id="no recording"),
        pytest.param(["replay", "okx_config.json", "--speed", "fast"], {}, "--speed: 'fast' is neither", id="a speed"),
        pytest.param(["replay", "okx_config.json", "--speed", "0"], {}, "--speed: '0' is neither", id="no speed"),
        pytest.param(
            ["replay", "okx_config.json", "--timeframes", "5s,7x"], {}, "--timeframes: '7x' is not", id="a timeframe"
        ),
        pytest.param(["migrate"], {"LOG_LEVEL": "loud"}, "LOG_LEVEL: ", id="a setting"),
        pytest.param(["migrate"], {"DATABASE_URL": "mysql://x"}, "DATABASE_URL: it must begin", id="another database"),
        pytest.param(["migrate"], {"POSTGRES_PORT": "abc"}, "POSTGRES_PORT: the port must be a", id="a port"),
        pytest.param(
            ["migrate"],
            {"DATABASE_URL": "postgresql://u:p@h:abc/d"},
            "DATABASE_URL: the port must be",
            id="a URL's port",
        ),
        pytest.param(
            ["migrate"], {"DATABASE_URL": "postgresql://u:se#cret@h/d"}, "DATABASE_URL: in a user's", id="a password"
        ),
        pytest.param(
            ["migrate"],
            {"DATABASE_URL": "postgresql://x:secret@127.0.0.1:9/y"},
            "migrating the database y at 127.0.0.1:9 as x: [Errno 111] Connect",
            id="no database",
        ),
        pytest.param(
            ["serve", "--no-collect", "--port", "0", "--host", "203.0.113.1"],
            {},
            "can't listen on 203.0.113.1",
            id="an address",
        ),
        pytest.param(
            ["backfill", "BTC-USDT", "-t", "1m", "--since", "2024-02-01", "--until", "2024-01-01"],
            {},
            "is not before --until",
            id="a range backwards",
        ),
        pytest.param(
            ["delete", "BTC-USDT", "1m", "--start", "2024-02-01", "--end", "2024-02-01"],
            {},
            "is not before --end",
            id="nothing to delete",
        ),
        pytest.param(
            ["delete", "BTC-USDT", "1x", "--start", "2024-02-01", "--end", "2024-02-02"],
            {},
            "timeframe: '1x'",
            id="a timeframe to delete",
        ),
        pytest.param(["export-schema", "--check", "okx_config.json"], {}, "is not the schema", id="another schema"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(in_process, words, variables, told):
    code, err = in_process(*words, **variables)

    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("candleql: ")
    assert told in err


def test_every_mistake_of_a_configuration_has_its_line(folder, in_process):
    pairs = [{"symbol": "BTC-USDT", "timeframes": ["5x"]}, {"symbol": "", "timeframes": ["1m"]}]
    (folder / "okx_config.json").write_text(json.dumps({"trading_pairs": pairs}))

    code, err = in_process("collect")

    assert code == 2
    first, second = err.splitlines()
    assert "trading_pairs[0].timeframes[0]" in first
    assert "trading_pairs[1].symbol" in second


def test_the_schema_on_disk_is_that_of_the_code(folder):
    assert run(folder, "export-schema").stdout == (Path(__file__).parent.parent / "schema.graphql").read_text()


def test_a_proxy_that_is_no_network_is_told_at_the_start(in_process):
    code, told = in_process("serve", "--port", "0", "--data-dir", "data", "--no-collect", TRUSTED_PROXIES="10.0.0.0/40")

    assert code == 2
    assert told.startswith("candleql: TRUSTED_PROXIES: '10.0.0.0/40'")


def test_debug_tells_each_statement_once_in_the_format_of_the_log(folder):
    ended = run(folder, "keys", "list", "--data-dir", "data", DEBUG="true", LOG_FORMAT="json", LOG_LEVEL="warning")

    told = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert ended.returncode == 0
    assert len([text for text in told if "FROM api_keys" in text]) == 1
    assert "SELECT" not in ended.stdout


def test_the_password_of_a_wrong_rate_limit_storage_is_not_told(in_process):
    words = ("serve", "--port", "0", "--data-dir", "data", "--no-collect")
    code, told = in_process(*words, RATE_LIMIT_STORAGE="radis://:secret@host")

    assert (code, told) == (2, "candleql: RATE_LIMIT_STORAGE: it must begin with memory:// or redis://\n")


def test_a_misspelt_name_in_a_env_file_is_told_with_the_nearest_right_one(in_process, folder):
    (folder / ".env").write_text("LOG_LEVLE=debug\nDATABASE_ULR=x\nDATABASE_URL_TEST=x\nAWS_REGION=x\n")

    _, told = in_process("replay", "none.zip", LOG_FORMAT="json")

    warnings = [json.loads(line) for line in told.splitlines()[:-1]]
    assert [(each["event"], each["name"], each["nearest"]) for each in warnings] == [
        ("A name in .env is not known; is it misspelt?", "LOG_LEVLE", "LOG_LEVEL"),
        ("A name in .env is not known; is it misspelt?", "DATABASE_ULR", "DATABASE_URL"),
    ]
