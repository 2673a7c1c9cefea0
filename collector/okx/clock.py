"""The exchange's clock, without asking it every time."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import structlog

from collector.okx.rest import OKXError, OKXRest

ASK_EVERY = 60.0

log = structlog.get_logger(__name__)


class ExchangeClock:
    """What the exchange's clock said when it was asked last, and the time that went by since.

    Until its first answer the machine's clock at the start counts. That clock may be set at any moment, and candles
    that it ended too early would be final: time goes on by the monotonic clock.
    """

    def __init__(self) -> None:
        self._zero = datetime.now(UTC) - timedelta(seconds=time.monotonic())
        self._is_known = False

    def now(self) -> datetime:
        """The exchange's time, in UTC."""
        return self._zero + timedelta(seconds=time.monotonic())

    def latest(self) -> datetime | None:
        """The latest that it can be now, in UTC; None until the exchange told its time.

        This machine's clock may be minutes behind, and the monotonic one stands still while a laptop sleeps.
        """
        return max(self.now(), datetime.now(UTC)) if self._is_known else None

    async def keep(self, rest: OKXRest) -> None:
        """Ask the exchange now and then, until cancelled."""
        while True:
            try:
                before = time.monotonic()
                theirs = await rest.server_time()
                self._zero = theirs - timedelta(seconds=(before + time.monotonic()) / 2)
                self._is_known = True
            except OKXError as error:
                log.warning("OKX does not tell the time", reason=str(error))
            await asyncio.sleep(ASK_EVERY)
