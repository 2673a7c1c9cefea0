"""What all commands share: how one begins, runs and speaks."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer
from rich.console import Console

from candleql.settings import Settings, read_settings
from repos.address import tell_misspelt

T = TypeVar("T")
log = structlog.get_logger(__name__)
out = Console(highlight=False, soft_wrap=True)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the embedded PostgreSQL; wins over DATABASE_URL. Default: the user's data folder."),
]
Config = Annotated[
    Path | None, typer.Option(help="What the collector follows. Default: okx_config.json, where there is one.")
]


def begin(*, quiet: bool = False) -> Settings:
    """The settings, with the log as they want it; `quiet`: what is stored is not told, batch by batch."""
    from candleql.logs import configure_logs

    settings = read_settings()
    configure_logs(settings.log_level, settings.log_format, quiet=("repos",) if quiet else ())
    tell_misspelt([name.upper() for name in Settings.model_fields], log)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    import uvloop

    return uvloop.run(work)
