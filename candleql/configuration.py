"""What the collector follows: a file that is named, the one in the current folder, or the default."""

from pathlib import Path

import structlog

from collector.config import DEFAULT, CollectorConfig, load_config

FILE = Path("okx_config.json")

log = structlog.get_logger(__name__)


def configuration(named: Path | None) -> CollectorConfig:
    """The configuration in the file `named`, else in FILE of the current folder; without either the default, in a line
    of the log that says so.

    Raises:
        ConfigError: The file can't be used.
    """
    if named is None and not FILE.exists():
        symbols = ", ".join(pair.symbol for pair in DEFAULT.pairs())
        log.info("No okx_config.json in this folder, so the default", symbols=symbols, folder=str(Path.cwd()))
        return DEFAULT
    return load_config(named or FILE)
