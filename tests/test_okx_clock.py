"""The exchange's time while this machine's clock is set."""

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from collector.okx import clock
from collector.okx.clock import ExchangeClock


@pytest.mark.parametrize("step", [timedelta(seconds=90), timedelta(hours=-1)], ids=["ahead", "back"])
def test_a_step_of_the_machines_clock_is_no_step_of_the_exchanges(
    monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    class Stepped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stepped":
            return super().now(tz) + step

    exchange = ExchangeClock()
    monkeypatch.setattr(clock, "datetime", Stepped)

    assert abs(exchange.now() - datetime.now(UTC)) < timedelta(seconds=10)


def test_before_the_exchange_told_its_time_no_instant_is_known_to_be_ahead_of_it() -> None:
    assert ExchangeClock().latest() is None
