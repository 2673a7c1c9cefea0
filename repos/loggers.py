"""The logger that somebody passed, of the standard library or structlog's, as the one kind that is used here."""

import logging
from typing import Any

import structlog

Logger = logging.Logger | structlog.typing.FilteringBoundLogger


def bound(logger: Logger | None) -> structlog.typing.FilteringBoundLogger:
    chosen: Any = logger or structlog.get_logger("repos")
    if isinstance(logger, logging.Logger):
        chosen = structlog.wrap_logger(logger, processors=[_as_text], wrapper_class=structlog.stdlib.BoundLogger)
    return chosen  # type: ignore[no-any-return]


def _as_text(_: object, __: str, event: structlog.typing.EventDict) -> str:
    return " ".join([str(event.pop("event")), *(f"{key}={value}" for key, value in event.items())])
