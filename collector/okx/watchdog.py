"""Notices a channel that fell silent while the exchange goes on, and has it opened anew."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from collector.okx.protocol import Arg
from collector.okx.rest import OKXError, OKXRest, OKXUnavailable
from collector.okx.session import is_newer
from collector.okx.stream import OKXStream
from repos.domain import Trade

LOOK_EVERY = 5.0
SILENT_AFTER = 30.0
"""Seconds without a push after which the exchange is asked whether there was anything to push, and as often as that."""
LONGEST_WAIT = 900.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Silence:
    """A channel says nothing since `since`."""

    since: float
    known: Trade | None
    """The symbol's newest trade when the channel said something last; None while that is not known."""
    ask_at: float = 0.0
    is_behind: bool = False
    """A newer one happened before the last look: had its push been on its way, it would have arrived by now."""


@dataclass(slots=True)
class _Revival:
    """What was done about a channel: something, `tries` times, the last time at `at`."""

    tries: int = 0
    at: float = 0.0


class Watchdog:
    """Watches the active channels of one stream.

    When a channel is silent for SILENT_AFTER, REST is asked for the symbol's newest trade. If one happened that the
    channel should have told, and the next look still finds it silent, it is subscribed to anew; if that does not help,
    another connection takes over, and again after twice the time, LONGEST_WAIT at most. In a quiet market nothing
    happens, and neither while REST does not answer.

    Args:
        stream: Whose channels are watched.
        rest: Tells the newest trades.
        stalled: Hears of each channel that is about to be opened anew.
    """

    def __init__(self, stream: OKXStream, rest: OKXRest, stalled: Callable[[Arg], None]) -> None:
        self._stream = stream
        self._rest = rest
        self._stalled = stalled
        self._silences: dict[Arg, _Silence] = {}
        self._revivals: dict[Arg, _Revival] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._look()
            except OKXUnavailable as error:
                log.warning("Silent channels are not compared with trades", reason=str(error))

    async def _look(self) -> None:
        session = self._stream.session
        now = asyncio.get_running_loop().time()
        # Without even a pong it is the connection that is dead, which ends it soon, or nobody reads it at the moment.
        if session is None or now >= session.last_message_at + SILENT_AFTER:
            return
        heard = {arg: session.last_data_at[arg] for arg in session.active}
        silent = [arg for arg, since in heard.items() if now >= since + self._patience(arg, since)]
        new = {arg: _Silence(heard[arg], session.newest.get(arg)) for arg in silent}
        self._silences = new | {
            arg: known for arg, known in self._silences.items() if arg in new and known.since == new[arg].since
        }
        behind = [arg for arg in silent if self._silences[arg].is_behind]
        for arg in silent:
            if arg not in behind and now >= self._silences[arg].ask_at:
                await self._ask(arg.symbol, self._silences[arg], now)
        if self._stream.session is session and not session.is_ending:
            still = [arg for arg in behind if arg in session.active and session.last_data_at[arg] == heard[arg]]
            await self._revive(still, heard)

    def _patience(self, arg: Arg, since: float) -> float:
        """The seconds that the channel may be silent, since it was heard at `since`."""
        revival = self._revivals.get(arg)
        if revival is not None and since > revival.at + SILENT_AFTER:
            del self._revivals[arg]  # it outlived what was done about it: it is well again
        elif revival is not None:
            return max(revival.at - since, 0.0) + min(SILENT_AFTER * (1 << revival.tries - 1), LONGEST_WAIT)
        return SILENT_AFTER

    async def _ask(self, symbol: str, silence: _Silence, now: float) -> None:
        """Whether a trade happened that the channel did not tell."""
        silence.ask_at = now + SILENT_AFTER
        try:
            newest = await self._rest.newest_trade(symbol)
        except OKXUnavailable:
            raise
        except OKXError as error:
            log.warning("OKX does not tell the newest trade", symbol=symbol, reason=str(error))
            return
        if newest is not None:
            if silence.known is None:
                silence.known = newest.trade
            silence.is_behind = is_newer(newest.trade, silence.known)

    async def _revive(self, args: list[Arg], heard: dict[Arg, float]) -> None:
        now = asyncio.get_running_loop().time()
        for arg in args:
            revival = self._revivals.setdefault(arg, _Revival())
            revival.tries += 1
            revival.at = now
            del self._silences[arg]
            log.error("A channel fell silent", arg=str(arg), seconds=round(now - heard[arg]), tries=revival.tries)
            self._stalled(arg)
        await self._stream.resubscribe(*(arg for arg in args if self._revivals[arg].tries == 1))
        if any(self._revivals[arg].tries > 1 for arg in args):
            self._stream.reconnect()
