"""The commands. A mistake that the user can mend is one line on standard error and exit code 2."""

import os
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from candleql import keys
from candleql.configuration import configuration
from candleql.console import DataDir, begin, out, run
from candleql.errors import UserError
from collector.config import CollectorConfig, ConfigError
from repos.domain import InvalidValue, Timeframe, instant
from repos.errors import DomainError

if TYPE_CHECKING:
    from collector.replay import ReplayReport

# A command imports the rest of what it needs by itself: everything together takes a second.

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")

_MENDABLE = (UserError, ConfigError, InvalidValue, DomainError)

Config = Annotated[
    Path | None, typer.Option(help="What the collector follows. Default: okx_config.json, where there is one.")
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"candleql {version('candleql')}")
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """A GraphQL server for crypto market data and trading bots."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    except _MENDABLE as error:
        lines = error.mistakes if isinstance(error, ConfigError) else [" ".join(str(error).split())]
        for line in lines:
            sys.stderr.write(f"candleql: {line}\n")
        raise SystemExit(2) from None
    except BaseExceptionGroup as group:
        mendable, other = group.split(_MENDABLE)
        if other is not None or mendable is None:
            raise
        sys.stderr.write(f"candleql: {' '.join(str(_first(mendable)).split())}\n")
        raise SystemExit(2) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


@app.command(name="serve")
def serve_command(
    demo: Annotated[bool, typer.Option("--demo", help="A simulated market, with a database of its own.")] = False,
    collecting: Annotated[bool, typer.Option("--collect/--no-collect", help="Collect in this process too.")] = True,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everybody do everything, with or without a key, from anywhere.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Serve GraphQL and, unless told otherwise, collect from OKX."""
    from candleql.database import database
    from candleql.demo import PAIRS, Demo
    from candleql.server import bind, serve
    from candleql.starting import tell_start
    from repos.embedded.server import default_data_dir

    settings = begin()
    if demo:
        # An explicit folder wins over every other database that the environment may name.
        data_dir = (data_dir or default_data_dir(os.environ)) / "demo"
        settings = settings.model_copy(update={"database_listen_url": None})
    pairs = [] if not collecting else PAIRS if demo else configuration(config).pairs()
    db = database(settings, data_dir)

    def ready(address: str) -> None:
        tell_start(db, pairs, address, exchange="simulated" if demo else "okx")
        out.print(f"candleql answers at [bold]{address}/graphql[/bold]")
        out.print(f"The dashboard is at [bold]{address}/[/bold]")
        if demo:
            out.print(f"The market is simulated; its data is in {data_dir}. Ctrl-C stops it.")

    with bind(host, port) as listener:
        run(serve(settings, db, listener, pairs, Demo() if demo else None, ready, insecure=insecure))


@app.command(name="collect")
def collect_command(data_dir: DataDir = None, config: Config = None) -> None:
    """Collect from OKX, without serving."""
    settings = begin()
    pairs = configuration(config).pairs()

    from candleql.collecting import collect
    from candleql.database import database
    from candleql.starting import tell_start

    db = database(settings, data_dir)
    run(collect(settings, db, pairs, ready=lambda: tell_start(db, pairs)))


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1_000_000:
        raise UserError(f"--speed: {text!r} is neither max nor a number above 0, such as 1 or 60")
    return speed


def _timeframes(text: str | None, config: Path | None) -> tuple[CollectorConfig | None, list[Timeframe]]:
    if text is not None:
        try:
            return None, list(dict.fromkeys(Timeframe(part.strip()) for part in text.split(",")))
        except InvalidValue as error:
            raise UserError(f"--timeframes: {error.problem}") from error
    loaded = configuration(config)
    return loaded, list(dict.fromkeys(timeframe for pair in loaded.pairs() for timeframe in pair.timeframes))


@app.command(name="replay")
def replay_command(
    files: Annotated[list[Path], typer.Argument(help="Recordings: cryptofeed's, or a frame a line.")],
    speed: Annotated[str, typer.Option(help="Times the recorded speed, or max.")] = "max",
    timeframes: Annotated[str | None, typer.Option(help="Such as 5s,1m. Default: those of --config.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Play recordings into the database, every instrument in them."""
    settings = begin()
    pace = _speed(speed)
    loaded, wanted = _timeframes(timeframes, config)
    own = {pair.symbol: pair.timeframes for pair in loaded.pairs()} if loaded else {}
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file")

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from candleql.database import database
    from collector.replay import replay

    async def work() -> "ReplayReport":
        async with database(settings, data_dir) as db:
            columns = (TextColumn("replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("replay")
                return await replay(
                    files,
                    db,
                    timeframes=lambda symbol: own.get(symbol, wanted),
                    speed=pace,
                    store_raw_data=loaded is not None and loaded.store_raw_data,
                    force_update=loaded is not None and loaded.force_update_candles,
                    on_progress=lambda done, total: progress.update(task, completed=done, total=total),
                )

    report = run(work())
    out.print(
        f"{report.lines:,} lines, {report.frames:,} frames; {report.trades_seen:,} trades seen, "
        f"{report.trades_stored:,} new; {report.candles_written:,} candles written"
    )
    for kind, count in sorted(report.others.items()):
        out.print(f"  {count:>8,}  {kind}", markup=False)
    for line in report.malformed:
        out.print(str(line), markup=False)
    if report.malformed_count:
        out.print(f"{report.malformed_count:,} lines could not be read; the log has their text")


@app.command(name="backfill")
def backfill_command(
    symbols: Annotated[list[str], typer.Argument(help="Instruments, such as BTC-USDT.")],
    timeframe: Annotated[str, typer.Option("--timeframe", "-t", help="Such as 1m.")],
    since: Annotated[datetime, typer.Option(help="UTC, such as 2024-01-31 or 2024-01-31T12:00:00.")],
    until: Annotated[datetime | None, typer.Option(help="UTC, exclusive. Default: now.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Fetch the exchange's own candles of a past time."""
    settings = begin()
    span = Timeframe(timeframe)
    start = instant("since", since.replace(tzinfo=UTC))
    end = instant("until", until.replace(tzinfo=UTC)) if until else datetime.now(UTC)
    if start >= end:
        raise UserError(f"--since {start.isoformat()} is not before --until {end.isoformat()}")

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from candleql.database import database
    from collector.backfill import backfill
    from collector.okx.pace import Pace
    from collector.okx.rest import OKXError, OKXRest

    async def work() -> None:
        async with database(settings, data_dir) as db, OKXRest(settings.okx_rest_url, pace=Pace()) as rest:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
                for symbol in symbols:
                    task = progress.add_task(f"{symbol} {span}", total=(end - start).total_seconds())

                    def back(moment: datetime, task: Any = task) -> None:
                        progress.update(task, completed=(end - moment).total_seconds())

                    try:
                        count = await backfill(db, rest, symbol, span, start, end, back)
                    except OKXError as error:
                        raise UserError(str(error)) from error
                    out.print(f"{symbol} {span}: {count:,} candles written")

    run(work())


@app.command(name="migrate")
def migrate_command(data_dir: DataDir = None) -> None:
    """Bring the database up to date; every command that uses it does so first, too."""
    settings = begin()

    from candleql.database import database

    async def work() -> None:
        async with database(settings, data_dir):
            out.print("The database is up to date.")

    run(work())


@app.command(name="export-schema")
def export_schema_command(
    check: Annotated[Path | None, typer.Option(help="Write nothing; fail when this file differs.")] = None,
) -> None:
    """Print the GraphQL schema."""
    from gql.schema import print_schema

    text = print_schema()
    if check is None:
        sys.stdout.write(text)
    elif not check.is_file() or check.read_text() != text:
        raise UserError(f"{check} is not the schema of the code; mend it with: candleql export-schema > {check}")
