"""All attacks, and what is measured around each."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from attack.documents import CHEAP_OR_REFUSED, DOCUMENTS, cheap_or_refused, refused
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
from attack.target import Target, Witness, a_target
from attack.values import hostile_values

Attack = Callable[[Talker], Awaitable[tuple[list[str], int]]]
"""What went wrong, and how many requests that were."""

CPU_MS = 100.0
"""What a refusal may cost at most."""
_GROWTH = 300.0
"""MB that all attacks may leave behind."""
_NOISE = 20.0
"""ms; a p99 below it says nothing on a machine with other work."""


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
    "1,000 subscriptions": many_operations,
    "idle sockets": idle_sockets,
    "half-sent requests": half_sent,
    "clients not reading": not_reading,
    "half frames": half_frames,
}


@dataclass(frozen=True)
class Report:
    """`cpu_ms` of the server is for each of `count` requests, but for what it uses when calm."""

    name: str
    wrong: list[str]
    count: int
    cpu_ms: float
    megabytes: float
    p99: float


@dataclass
class Suite:
    target: Target
    witness: Witness
    calm_p99: float
    calm_megabytes: float
    _spans: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def ready(cls, patience: float, calm: float) -> AsyncIterator["Suite"]:
        """Against a server with that REQUEST_TIMEOUT, after it was watched for `calm` seconds."""
        async with a_target(patience) as target:
            await target.settle()
            async with Witness.beside(target) as witness:
                begun = time.monotonic()
                await asyncio.sleep(calm)
                yield cls(target, witness, witness.p99(begun, time.monotonic()), target.megabytes())

    async def attack(self, name: str) -> Report:
        """From an address of its own, so that none profits from what another was refused for."""
        talker = Talker(self.target, f"127.0.1.{1 + len(self._spans)}")
        cpu, begun, tracebacks = self.target.cpu(), time.monotonic(), self.target.tracebacks()
        wrong, count = await ATTACKS[name](talker)
        ended = time.monotonic()
        self._spans.append((begun, ended))
        used = self.target.cpu() - cpu - self.target.calm_cpu * (ended - begun)
        cpu_ms = max(used, 0) * 1000 / count
        if cpu_ms > CPU_MS:
            wrong.append(f"{cpu_ms:.0f} ms of CPU a request; {CPU_MS:g} are allowed")
        if more := self.target.tracebacks() - tracebacks:
            wrong.append(f"{more} tracebacks were logged, such as: {self.target.log.read_text()[-400:]}")
        if not self.target.process.is_running():
            wrong.append("the server is gone")
        return Report(name, wrong, count, cpu_ms, self.target.megabytes(), self.witness.p99(begun, ended))

    def p99(self) -> float:
        """Of the client that means well, during all attacks."""
        return self.witness.p99(self._spans[0][0], self._spans[-1][1])

    def wrong_in_all(self) -> list[str]:
        wrong = []
        if self.p99() > max(2 * self.calm_p99, _NOISE):
            wrong.append(f"others waited more than twice as long: {self.p99():.1f} ms instead of {self.calm_p99:.1f}")
        if (grown := self.target.megabytes() - self.calm_megabytes) > _GROWTH:
            wrong.append(f"{grown:.0f} MB stayed behind")
        return wrong
