"""The commands for API keys."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from candleql.console import DataDir, begin, out, run
from candleql.errors import UserError
from gql.roles import Role

if TYPE_CHECKING:
    from rich.table import Table

    from repos.keys import Key

app = typer.Typer(no_args_is_help=True, help="API keys: who may use the server, and for what.")

_SPAN = re.compile(r"([1-9][0-9]{0,4})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> datetime:
    """The end that `text` means: a time from now such as 30d or 12h, or a date, which is UTC unless it says otherwise.

    Raises:
        UserError: It is neither, or lies in the past.
    """
    if span := _SPAN.fullmatch(text):
        return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        end = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"--expires: {text!r} is neither a time from now, such as 30d or 12h, nor a date") from error
    end = end.replace(tzinfo=UTC) if end.tzinfo is None else end
    if end <= now:
        raise UserError(f"--expires: {text} is over")
    return end


@app.command(name="create")
def create_command(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[
        Role,
        typer.Option(
            help="viewer: queries and subscriptions; trader: also bots; collector: also market data; admin: everything."
        ),
    ],
    expires: Annotated[
        str | None, typer.Option(help="A time from now, such as 30d, or a date. Default: it does not expire.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it, this once: only its SHA-256 is stored."""
    settings = begin()
    end = None if expires is None else moment(expires, datetime.now(UTC))

    from candleql.database import database

    async def work() -> str:
        async with database(settings, data_dir, "keys") as db:
            _, secret = await db.keys.create(name, role, end)
            return secret

    typer.echo(run(work()))


@app.command(name="list")
def list_command(data_dir: DataDir = None) -> None:
    """Show all keys; their secrets are nowhere."""
    settings = begin()

    from candleql.database import database

    async def work() -> "list[Key]":
        async with database(settings, data_dir, "keys") as db:
            return await db.keys.all()

    out.print(_table(run(work()), datetime.now(UTC)))


@app.command(name="revoke")
def revoke_command(
    which: Annotated[str, typer.Argument(metavar="ID|NAME", help="As the list shows it.")], data_dir: DataDir = None
) -> None:
    """Revoke a key: within 5 s it opens nothing, and what it had opened is closed."""
    settings = begin()

    from candleql.database import database

    async def work() -> "Key | None":
        async with database(settings, data_dir, "keys") as db:
            return await db.keys.revoke(which)

    key = run(work())
    if key is None:
        raise UserError(f"there is no key {which!r} that is not revoked; candleql keys list shows all")
    out.print(f"Revoked the key {key.id}, {key.name}.", markup=False)


def _table(keys: "Iterable[Key]", now: datetime) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "name", "role", "state", "created", "expires", "last used")
    for key in keys:
        state = "revoked" if key.revoked_at else "expired" if key.expires_at and key.expires_at <= now else "live"
        times = (key.created_at, key.expires_at, key.last_used_at)
        shown = (f"{time:%Y-%m-%d %H:%M:%S}" if time else "never" for time in times)
        table.add_row(str(key.id), Text(key.name), key.role, state, *shown)
    return table
