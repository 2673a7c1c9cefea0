"""The exchange's clock, without asking it every time."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from collector.okx.rest import OKXError, OKXRest

ASK_EVERY = 60.0

log = structlog.get_logger(__name__)


class ExchangeClock:
    """This machine's clock, and how far the exchange's was ahead when it was asked last."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """The exchange's time, in UTC."""
        return datetime.now(UTC) + self._ahead

    async def keep(self, rest: OKXRest) -> None:
        """Ask the exchange now and then, until cancelled."""
        while True:
            try:
                before = datetime.now(UTC)
                theirs = await rest.server_time()
                self._ahead = theirs - before - (datetime.now(UTC) - before) / 2
            except OKXError as error:
                log.warning("OKX does not tell the time", reason=str(error))
            await asyncio.sleep(ASK_EVERY)
