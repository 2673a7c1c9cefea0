"""Logs: structlog's own events and those of libraries, one line each, to standard error."""

import logging
import sys
from collections.abc import Sequence

import structlog

_OF_CLIENTS = (
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
    "Invalid UTF-8 sequence received from client.",
)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether it is no client's mistake: anybody could fill the disk with those."""
    return record.msg not in _OF_CLIENTS


def configure_logs(level: str, form: str, quiet: Sequence[str] = ()) -> None:
    """Log from `level` up, as text for people (`console`) or as one JSON object a line (`json`).

    Loggers named in `quiet` tell warnings alone, unless `level` is debug.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor]
    if form == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # They tell of every request and every step; level debug shows it.
    if level != "debug":
        for name in ("alembic", "httpcore2", "httpx2", "uvicorn", "websockets", *quiet):
            logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
        logging.getLogger("uvicorn.error").addFilter(_is_ours)
        # What was tried again in vain comes up to us; what helped is no news.
        logging.getLogger("stamina").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
