"""Frames recorded from the exchange, where they are at hand: they are not part of this repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from collector.okx.protocol import Ignored, Malformed, Points, Subscribed, Trades, parse_frame

CAPTURES = Path(__file__).parent.parent.parent / "shared" / "okx" / "captures"
pytestmark = pytest.mark.skipif(not CAPTURES.exists(), reason="no recorded frames here")


def recorded() -> list[Any]:
    lines = sorted(CAPTURES.glob("*/*.jsonl")) + sorted(CAPTURES.glob("gocryptotrader/*.json"))
    whole = sorted(CAPTURES.glob("nautilus_trader/ws_*.json"))
    return [
        pytest.param(line, id=f"{path.name}:{number}")
        for path in lines
        for number, line in enumerate(path.read_text().splitlines(), 1)
    ] + [pytest.param(path.read_text(), id=path.name) for path in whole]


@pytest.mark.parametrize("frame", recorded())
def test_a_recorded_frame_is_understood(frame):
    envelope = json.loads(frame)

    events = parse_frame(frame)

    assert not any(isinstance(event, Malformed) for event in events)
    match events:
        case [Trades(arg, records)]:
            assert arg.channel in ("trades", "trades-all")
            assert [json.loads(record.raw) for record in records] == envelope["data"]
        case [Points(arg, points)]:
            assert arg.channel.startswith(("books", "bbo", "tickers", "candle"))
            assert len(points) == len(envelope["data"])
        case [Ignored(name)]:
            assert name in ("funding-rate", "mark-price", "index-tickers", "open-interest", "instruments")
        case [Subscribed()]:
            assert envelope["event"] == "subscribe"
        case _:
            pytest.fail(f"unexpected: {events}")


def test_quoted_frames_are_understood():
    quoted = [json.loads(line) for line in (CAPTURES / "frames-from-public-issues.jsonl").read_text().splitlines()]

    events = [parse_frame(entry["frame"]) for entry in quoted if entry["kind"].startswith("ws")]

    assert len(events) == 16
    assert all(len(found) == 1 and not isinstance(found[0], Malformed) for found in events)


@pytest.mark.parametrize(
    ("name", "frames", "trades"),
    [("cryptofeed-2021-07-22/OKEX.ws.1.0", 1616, 36), ("cryptofeed-2022-02-27/OKX.ws.1.0", 3777, 19)],
)
def test_a_recorded_session_is_understood_frame_by_frame(name, frames, trades):
    lines = (CAPTURES / name).read_text().splitlines()
    received = [line.split(": ", 1)[1] for line in lines if not line.startswith("wss:")]

    events = [event for frame in received for event in parse_frame(frame)]

    assert len(received) == len(events) == frames
    assert {type(event) for event in events} == {Subscribed, Trades, Points}
    assert sum(len(event.records) for event in events if isinstance(event, Trades)) == trades
