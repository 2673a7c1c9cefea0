"""The exchange's clock, without asking it every time."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import structlog

from collector.okx.rest import OKXError, OKXRest

ASK_EVERY = 60.0
BELIEVED = timedelta(hours=1)
"""A stamp farther than this from the machine's clock says nothing of now: the first push may be of long ago."""

log = structlog.get_logger(__name__)


class ExchangeClock:
    """What the exchange's clock said when it was asked last, and the time that went by since.

    While it refuses to tell, its latest stamp does, of a trade or a book: the exchange's clock is past that, so that no
    candle is ended too early by it. Before either, the machine's clock at the start counts, which may be minutes off.
    It may be set at any moment, too, and what is ended too early is final: time goes on by the monotonic clock.
    """

    def __init__(self) -> None:
        self._started = timedelta(seconds=time.monotonic())
        self._machine = self._zero = datetime.now(UTC) - self._started
        self._is_told = False
        self.is_known = False
        """Whether it goes by what the exchange said or stamped, and not by the machine's clock."""

    def now(self) -> datetime:
        """The exchange's time, in UTC; never ahead of it where that is known."""
        return self._zero + timedelta(seconds=time.monotonic())

    def started(self) -> datetime:
        """The exchange's time when this clock was made."""
        return self._zero + self._started

    def latest(self) -> datetime | None:
        """The latest that it can be now, in UTC; None until the exchange told its time.

        This machine's clock may be minutes behind, and the monotonic one stands still while a laptop sleeps.
        """
        return max(self.now(), datetime.now(UTC)) if self._is_told else None

    def hear(self, moment: datetime) -> None:
        """Something arrived that the exchange stamped with `moment`."""
        zero = moment - timedelta(seconds=time.monotonic())
        if self._is_told or abs(zero - self._machine) > BELIEVED:
            return
        self._zero = max(self._zero, zero) if self.is_known else zero
        self.is_known = True

    async def keep(self, rest: OKXRest) -> None:
        """Ask the exchange now and then, until cancelled."""
        while True:
            try:
                before = time.monotonic()
                theirs = await rest.server_time()
                self._zero = theirs - timedelta(seconds=(before + time.monotonic()) / 2)
                self._is_told = self.is_known = True
            except OKXError as error:
                log.warning("OKX does not tell the time", reason=str(error))
            await asyncio.sleep(ASK_EVERY)
