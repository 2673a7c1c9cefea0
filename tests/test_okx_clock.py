"""The exchange's time while this machine's clock is set, or wrong."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from collector import pipeline
from collector.okx import clock, follower, session, writer
from collector.okx.clock import ExchangeClock
from collector.okx.simulator.faults import RestFault
from tests.test_collector import BTC, BTC_1S, a_collector, assert_true_to, exchange, stored

__all__ = ["exchange"]

off = pytest.mark.parametrize("step", [timedelta(minutes=5), timedelta(minutes=-5)], ids=["ahead", "behind"])


def a_clock_off_by(step: timedelta) -> type[datetime]:
    class Stepped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stepped":
            return super().now(tz) + step

    return Stepped


@pytest.mark.parametrize("step", [timedelta(seconds=90), timedelta(hours=-1)], ids=["ahead", "back"])
def test_a_step_of_the_machines_clock_is_no_step_of_the_exchanges(
    monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    exchange = ExchangeClock()
    monkeypatch.setattr(clock, "datetime", a_clock_off_by(step))

    assert abs(exchange.now() - datetime.now(UTC)) < timedelta(seconds=10)


def test_before_the_exchange_told_its_time_no_instant_is_known_to_be_ahead_of_it() -> None:
    assert ExchangeClock().latest() is None


@off
def test_what_arrived_tells_the_time_as_long_as_the_exchange_does_not(
    monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    truly, second = datetime.now(UTC), timedelta(seconds=1)
    monkeypatch.setattr(clock, "datetime", a_clock_off_by(step))
    exchange = ExchangeClock()
    before = exchange.is_known

    exchange.hear(truly - 3 * second)
    late = exchange.now()
    for moment in (truly, truly - 2 * second, truly - timedelta(hours=20), truly + timedelta(days=900)):
        exchange.hear(moment)

    assert (before, exchange.is_known) == (False, True)
    assert truly - 3 * second <= late < truly
    assert truly <= exchange.now() < truly + 20 * second
    assert abs(exchange.started() - truly) < 20 * second


@pytest.mark.anyio
@off
async def test_a_wrong_clock_of_the_machine_ends_no_candle_early_and_none_never(
    exchange, db, feed, monkeypatch, step: timedelta
) -> None:
    for module in (clock, follower, writer):
        monkeypatch.setattr(module, "datetime", a_clock_off_by(step))
    monkeypatch.setattr(pipeline, "LATENESS", timedelta(seconds=1))
    monkeypatch.setattr(session, "PING_EVERY", 0.1)
    exchange.faults.rest.append(RestFault("public/time", status=400, code="50026", times=1_000_000))
    finals, told_after = [], []

    async with asyncio.timeout(60), aclosing(feed.candles(BTC_1S, None, 0)) as events, a_collector(exchange, db, feed):
        async for event in events:
            if event.candle is not None and event.candle.is_final:
                finals.append(event.candle)
                told_after.append(datetime.now(UTC) - event.candle.end_time)
            if len(finals) == 5:
                exchange.faults.silent.add(("trades-all", BTC))  # from here on only a clock can end the last candle
            if len(finals) > 5 and finals[-1].end_time > (await stored(db))[-1].timestamp:
                break

    starts = [candle.start_time for candle in finals]
    assert starts == sorted(set(starts))
    assert_true_to(exchange, finals[:5])
    assert min(told_after) >= timedelta()
