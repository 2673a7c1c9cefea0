"""All attacks, and what is measured around each."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from attack.documents import CHEAP_OR_REFUSED, DOCUMENTS, cheap_or_refused, refused
from attack.floods import chunks_of_a_byte, long_heads, requests_at_once, small_frames
from attack.requests import (
    changes_by_link,
    other_origins,
    rebinding,
    wrong_bodies,
    wrong_http,
    wrong_media,
    wrong_paths,
)
from attack.slow import half_frames, half_sent, not_reading
from attack.sockets import idle_sockets, many_operations, wrong_frames
from attack.talk import Talker
from attack.target import Span, Target, Witness, a_target
from attack.values import hostile_values

_LONG_WAITS = "others waited too long"
Attack = Callable[[Talker], Awaitable[tuple[list[str], int]]]
"""What went wrong, and how many requests that were."""

CPU_MS = 100.0
"""What a refusal may cost at most."""
_GROWTH = 300.0
"""MB that all attacks may leave behind."""
_LASTS = 5.0
"""Seconds that an attack is repeated for, so that others have a p99 meanwhile."""
_NOISE = 2.0
"""ms that two p99 of some 250 answers differ by for no reason: those of calm times were 1.3 to 3.2."""
_WORK = {"hostile values", "clients not reading"}
"""What is no refusal: pages and lists of 10,000 rows, raw data of 1 MB. They are paid for in points: the minute of one
client has enough for some 250 such pages."""
_WORK_MS = 50.0
"""What others may have to wait for one."""
_TRIES = 3
"""Of an attack beside which others wait too long: on a machine that is shared they do now and then, beside whatever."""


def _hostile_values(talker: Talker) -> Awaitable[tuple[list[str], int]]:
    return hostile_values(talker, (Path(__file__).parent.parent / "schema.graphql").read_text())


ATTACKS: dict[str, Attack] = {
    **{name: partial(refused, documents=documents) for name, documents in DOCUMENTS.items()},
    **{name: partial(cheap_or_refused, documents=documents) for name, documents in CHEAP_OR_REFUSED.items()},
    "hostile values": _hostile_values,
    "wrong bodies": wrong_bodies,
    "wrong media types": wrong_media,
    "wrong paths": wrong_paths,
    "wrong HTTP": wrong_http,
    "DNS rebinding": rebinding,
    "other origins": other_origins,
    "changes by link": changes_by_link,
    "wrong frames": wrong_frames,
    "small frames": small_frames,
    "20,000 headers": long_heads,
    "requests at once": requests_at_once,
    "chunks of a byte": chunks_of_a_byte,
    "1,000 subscriptions": many_operations,
    "idle sockets": idle_sockets,
    "half-sent requests": half_sent,
    "clients not reading": not_reading,
    "half frames": half_frames,
}


@dataclass(frozen=True)
class Report:
    """`cpu_ms` of the server is for each of `count` requests, but for what it used in the calm time before.

    The two p99 are those of the client that means well: during the attack, and of all calm times until then.
    """

    name: str
    wrong: list[str]
    count: int
    cpu_ms: float
    megabytes: float
    p99: float
    calm_p99: float


@dataclass
class Suite:
    """Attacks on `target`, one after the other. Without a witness each is made once, and no waiting is measured."""

    target: Target
    witness: Witness | None = None
    calm: list[Span] = field(default_factory=list)
    attacks: list[Span] = field(default_factory=list)
    _calm_megabytes: float = 0.0
    _rounds: int = 0

    def __post_init__(self) -> None:
        self._calm_megabytes = self.target.megabytes()

    @classmethod
    @asynccontextmanager
    async def ready(cls, patience: float) -> AsyncIterator["Suite"]:
        """Against a server of its own, which waits so many seconds for each client, and a witness beside it."""
        async with a_target(patience) as target:
            await target.settle()
            async with Witness.beside(target) as witness:
                yield cls(target, witness)

    async def attack(self, name: str) -> Report:
        for _ in range(_TRIES - 1):
            report = await self._once(name)
            if report.wrong != [_LONG_WAITS]:
                return report
        return await self._once(name)

    async def _once(self, name: str) -> Report:
        if self.witness is not None:
            begun = time.monotonic()
            await self.target.watch()
            self.calm.append((begun, time.monotonic()))
        cpu, begun, tracebacks = self.target.cpu(), time.monotonic(), self.target.tracebacks()
        wrong, count = await self._round(name)
        while self.witness is not None and not wrong and time.monotonic() < begun + _LASTS:
            wrong, more = await self._round(name)
            count += more
        ended = time.monotonic()
        self.attacks.append((begun, ended))
        used = self.target.cpu() - cpu - self.target.calm_cpu * (ended - begun)
        cpu_ms = max(used, 0) * 1000 / count
        if cpu_ms > CPU_MS:
            wrong.append(f"{cpu_ms:.0f} ms of CPU a request; {CPU_MS:g} are allowed")
        if more := self.target.tracebacks() - tracebacks:
            wrong.append(f"{more} tracebacks were logged, such as: {self.target.log.read_text()[-400:]}")
        if not self.target.process.is_running():
            wrong.append("the server is gone")
        p99, calm_p99 = self.p99([(begun, ended)]), self.p99(self.calm)
        if p99 > (_WORK_MS if name in _WORK else 2 * calm_p99 + _NOISE):
            wrong.append(_LONG_WAITS)
        return Report(name, wrong, count, cpu_ms, self.target.megabytes(), p99, calm_p99)

    async def _round(self, name: str) -> tuple[list[str], int]:
        """From an address of its own, so that none profits from what another was refused for."""
        self._rounds += 1
        return await ATTACKS[name](Talker(self.target, f"127.0.{self._rounds // 250 + 1}.{self._rounds % 250 + 1}"))

    def p99(self, spans: list[Span]) -> float:
        """Of the client that means well, in ms; 0 without one."""
        return self.witness.p99(spans) if self.witness else 0.0

    def wrong_in_all(self) -> list[str]:
        wrong = []
        if (grown := self.target.megabytes() - self._calm_megabytes) > _GROWTH:
            wrong.append(f"{grown:.0f} MB stayed behind")
        return wrong
