import io
import json
from pathlib import Path

import pytest

from collector import captures
from collector.captures import Broken, Capture, Frame, Item, Other
from collector.okx.protocol import Malformed, parse_frame
from repos.domain import EPOCH

SHARED = Path(__file__).parents[2] / "shared" / "okx" / "captures"
TRADES = '{"arg":{"channel":"trades","instId":"A-B"},"data":[]}'
ACK = '{"event":"subscribe","arg":{"channel":"trades","instId":"A-B"},"connId":"1"}'
INDENTED = json.dumps(json.loads(TRADES), indent=2)
ADDRESS = "wss://exchange.example:8443/ws/v5/public"
ARCHIVE = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm"


def items(*lines: str | bytes) -> list[Item]:
    raw = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return list(Capture(io.BytesIO(raw)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(TRADES, Frame(1, TRADES), id="a frame by itself"),
        pytest.param(ACK + "\r", Frame(1, ACK), id="a carriage return"),
        pytest.param("\ufeff" + TRADES, Frame(1, TRADES), id="a byte order mark"),
        pytest.param('{"id":"1",' + ACK[1:], Frame(1, '{"id":"1",' + ACK[1:]), id="an answer that begins with its id"),
        pytest.param("pong", Frame(1, "pong"), id="pong"),
        pytest.param(f"0.5: {TRADES}", Frame(1, TRADES, EPOCH.replace(microsecond=500_000)), id="received"),
        pytest.param("7: pong", Frame(1, "pong", EPOCH.replace(second=7)), id="pong received"),
        pytest.param(f"< {ACK}", Frame(1, ACK), id="an answer in a dialogue"),
        pytest.param(f"= {TRADES}", Frame(1, TRADES), id="a push in a dialogue"),
        pytest.param(
            json.dumps({"source": "a note", "kind": "ws public", "frame": TRADES}), Frame(1, TRADES), id="quoted"
        ),
        pytest.param('{"unheard":"of"}', Frame(1, '{"unheard":"of"}'), id="an object that the parser must judge"),
    ],
)
def test_a_frame_is_found_in_its_wrapping(line: str, expected: Frame) -> None:
    assert items(line) == [expected]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"{ADDRESS} <-> 1.5", "connection"),
        (f'{ADDRESS} <- 1.5: {{"op":"subscribe","args":[]}}', "sent request"),
        ('> {"op":"subscribe","args":[]}', "sent request"),
        ('{"op":"subscribe","args":[]}', "sent request"),
        ('https://exchange.example/api?a=b -> 1.5: {"code":"0","data":[]}', "REST reply"),
        ('{"code":"0","msg":"","data":[]}', "REST reply"),
        (json.dumps({"source": "a note", "kind": "rest", "frame": '{"code":"0"}'}), "REST reply"),
        ('configuration: {"trades":[]}', "recorder configuration"),
        ("GET", "REST request"),
        ("/api/v5/market/candles", "REST request"),
        ("false", "REST request"),
        ("= ", "mark before a push"),
        (" ", "blank line"),
    ],
)
def test_a_line_that_is_no_frame_is_told_by_its_kind(line: str, kind: str) -> None:
    assert items(line) == [Other(1, kind)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"7: \xff", "not UTF-8: invalid start byte at byte 3", id="not text"),
        pytest.param("hello", "no known kind of line", id="prose"),
        pytest.param(TRADES[:-9], "JSON that does not end", id="torn"),
        pytest.param("[1]", "JSON, but no object", id="an array"),
        pytest.param("{1:2}", "JSON is malformed", id="no JSON"),
        pytest.param("{" * 5_000 + "}" * 5_000, "JSON is malformed", id="no JSON, and deep"),
        pytest.param('{"a":' * 5_000 + "1" + "}" * 5_000, "recursion", id="JSON too deep to read"),
        pytest.param(f"> {TRADES[:9]}", "sent request: Input data was truncated", id="a torn request"),
        pytest.param("99999999999999999: {}", "is no time in seconds since 1970", id="beyond time"),
    ],
)
def test_a_line_that_cannot_be_read_is_reported_and_the_next_one_is_read(line: str | bytes, reason: str) -> None:
    broken, frame = items(line, TRADES)

    assert isinstance(broken, Broken)
    assert reason in broken.reason
    assert frame == Frame(2, TRADES)


def test_a_document_goes_on_over_its_lines() -> None:
    found = items("= ", INDENTED, "", ACK)

    end = 2 + INDENTED.count("\n")
    assert found == [
        Other(1, "mark before a push"),
        Frame(2, INDENTED),
        Other(end + 1, "blank line"),
        Frame(end + 2, ACK),
    ]


@pytest.mark.parametrize("after", [ACK, f"7: {ACK}", b"\xff", "prose"])
def test_a_document_that_does_not_end_takes_no_other_line_with_it(after: str | bytes) -> None:
    lines = INDENTED.split("\n")[:-1]

    broken, *rest = items(*lines, after)

    assert broken == Broken(1, "JSON that does not end", "\n".join(lines))
    assert rest == [item._replace(line=len(lines) + 1) for item in items(after)]


def test_a_recording_may_end_in_the_middle_of_a_frame() -> None:
    assert items(ACK, TRADES[:-9]) == [Frame(1, ACK), Broken(2, "JSON that does not end", TRADES[:-9])]


def test_the_exchanges_archive_is_read_row_by_row() -> None:
    row = "A-B,1,2,0.5,1,7e-05,3,3,1763913600000,1"

    found = items(ARCHIVE, row, row.replace("0.5", "O.5"), row + ",9", "")

    assert found[:2] == [Other(1, "archive header"), Other(2, "archive candle")]
    assert [item.reason for item in found if isinstance(item, Broken)] == [
        "low: 'O.5' is not a decimal number such as 0.00000001",
        "11 fields instead of 10",
    ]


def test_an_endless_line_is_reported_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "LINE_LIMIT", 100)

    found = items("x" * 1_000, ACK, "{", *(f'"{i:060}":1,' for i in range(3)), "}", "y" * 300)

    assert [(item.line, type(item)) for item in found[:3]] == [(1, Broken), (2, Frame), (3, Broken)]
    assert all(isinstance(item, Broken) for item in found[2:])
    assert found[-1].line == 8


def test_lines_read_are_counted_whatever_they_are() -> None:
    capture = Capture(io.BytesIO(f"{INDENTED}\n{ACK}\n".encode()))

    list(capture)

    assert capture.lines == INDENTED.count("\n") + 2


@pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not here")
def test_every_line_of_the_recordings_parses_or_is_reported() -> None:
    reported = []
    frames = 0
    for path in sorted(path for path in SHARED.rglob("*") if path.is_file() and path.suffix != ".md"):
        with path.open("rb") as file:
            capture = Capture(file)
            for item in capture:
                if isinstance(item, Broken):
                    reported.append((path.name, item.line, item.reason))
                elif isinstance(item, Frame):
                    frames += 1
                    bad = (event for event in parse_frame(item.text) if isinstance(event, Malformed))
                    reported += [(path.name, item.line, event.reason) for event in bad]
            assert capture.lines == path.read_bytes().count(b"\n") + (not path.read_bytes().endswith(b"\n"))

    # A sample in a manual whose push is of another instrument than its subscription.
    assert reported == [("Trades.txt", 4, "instId: 'BTC-USDT' is not ETH-USDT")]
    assert frames > 5_000
