"""The exchange's rate limits are kept by waiting, whatever happens to the machine's clock."""

import asyncio
import time

import pytest
from limits import RateLimitItemPerHour, RateLimitItemPerSecond

from collector.okx.pace import Pace

pytestmark = pytest.mark.anyio

THREE = RateLimitItemPerSecond(3)


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_step_of_the_clock_neither_stops_requests_nor_lets_them_burst(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    clock = time.time
    pace = Pace()
    begun = time.monotonic()
    for _ in range(3):
        await pace.wait(THREE, "okx")
    monkeypatch.setattr(time, "time", lambda: clock() + step)

    async with asyncio.timeout(30):
        for _ in range(3):
            await pace.wait(THREE, "okx")

    assert time.monotonic() - begun >= 1


async def test_those_who_wait_together_keep_the_limit_too() -> None:
    pace = Pace()
    begun = time.monotonic()

    await asyncio.gather(*(pace.wait(THREE, "okx") for _ in range(7)))

    assert time.monotonic() - begun >= 2


async def test_keys_and_limits_are_apart() -> None:
    pace = Pace()

    async with asyncio.timeout(30):
        for limit, key in [
            (RateLimitItemPerHour(1), "a"),
            (RateLimitItemPerHour(1), "b"),
            (RateLimitItemPerHour(2), "a"),
        ]:
            await pace.wait(limit, key)

    assert len(pace._windows) == 3


async def test_windows_of_what_is_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic = time.monotonic
    pace = Pace()
    await pace.wait(THREE, "a connection that is gone")
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 2)

    await pace.wait(THREE, "okx")

    assert [key for _, key in pace._windows] == [("okx",)]
