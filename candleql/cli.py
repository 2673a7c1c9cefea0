"""The commands. A mistake that the user can mend is one line on standard error and exit code 2."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from candleql import deleting, history, keys
from candleql.configuration import configuration
from candleql.console import Config, DataDir, begin, out, run
from candleql.errors import UserError
from candleql.settings import Settings
from collector.config import ConfigError
from repos.domain import InvalidValue
from repos.errors import DomainError

# A command imports the rest of what it needs by itself: everything together takes a second.

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")

_MENDABLE = (UserError, ConfigError, InvalidValue, DomainError)

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


def _demo(settings: Settings, data_dir: Path | None) -> tuple[Settings, Path]:
    """The settings and the folder of the demo's own database, whatever else the environment names."""
    from repos.embedded.server import default_data_dir

    folder = (data_dir or default_data_dir(os.environ)) / "demo"
    return settings.model_copy(update={"database_listen_url": None}), folder


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

    settings = begin(quiet=demo)
    if demo:
        settings, data_dir = _demo(settings, data_dir)
    pairs = [] if not collecting else PAIRS if demo else configuration(config).pairs()
    db = database(settings, data_dir, "serve" if collecting else "serve --no-collect")

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

    db = database(settings, data_dir, "collect")
    run(collect(settings, db, pairs, ready=lambda: tell_start(db, pairs)))


app.command(name="replay")(history.replay_command)
app.command(name="backfill")(history.backfill_command)
app.command(name="delete")(deleting.delete_command)


@app.command(name="migrate")
def migrate_command(data_dir: DataDir = None) -> None:
    """Bring the database up to date; every command that uses it does so first, too."""
    settings = begin()

    from candleql.database import database

    async def work() -> None:
        async with database(settings, data_dir, "migrate"):
            out.print("The database is up to date.")

    run(work())


@app.command(name="status")
def status_command(
    demo: Annotated[bool, typer.Option("--demo", help="Of the demo's own database.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show what works on the database and how it is doing. Exit code 0: all is well; 1: something is wrong."""
    settings = begin()

    from candleql import status_shown
    from candleql.status import look

    if demo:
        settings, data_dir = _demo(settings, data_dir)
    status = run(look(settings, data_dir))
    if as_json:
        typer.echo(status_shown.as_json(status, version("candleql")))
    else:
        status_shown.show(status, out)
    if not status.healthy:
        raise typer.Exit(1)


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
