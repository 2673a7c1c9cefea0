"""Work that waits for the database, however long it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple, Unpack

import structlog

from repos.errors import DatabaseOperationError

RETRY = 5.0
"""Seconds before the next try, when the exchange or the database can't be reached."""

_T = TypeVar("_T")
_Arguments = TypeVarTuple("_Arguments")

log = structlog.get_logger(__name__)


async def patiently(work: Callable[[Unpack[_Arguments]], Awaitable[_T]], *arguments: *_Arguments) -> _T:
    """Do it when the database is there."""
    while True:
        try:
            return await work(*arguments)
        except DatabaseOperationError as error:
            log.warning("Gaps wait for the database", reason=str(error))
            await asyncio.sleep(RETRY)
