"""Recordings of what OKX sent, whatever tool wrote them, read line by line: a frame, something else, or broken.

Known, and told apart by their content:
- cryptofeed's websocket recordings: `ADDRESS <-> EPOCH` (connected), `ADDRESS <- EPOCH: JSON` (sent by the client)
  and `EPOCH: FRAME` (received);
- cryptofeed's REST recordings: `URL -> EPOCH: JSON`, and `configuration: JSON` of the recorder itself;
- one frame a line, or `{"source", "kind", "frame"}` with the frame as a string;
- a JSON document over several lines, indented;
- a dialogue: `> ` sent, `< ` received, `= ` received and going on over the next lines; or a REST request as method,
  path and whether it is signed, a line each, and the reply as a document;
- the exchange's archive of candles, CSV.

Each may be compressed with gzip.
"""

import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from repos.domain import InvalidValue, exact

LINE_LIMIT = 16 * 2**20
"""Bytes of the longest line, or document, that is read as one."""


class Frame(NamedTuple):
    """What the exchange sent over a websocket. `received_at` is the recorder's clock, where it was written down."""

    line: int
    text: str
    received_at: datetime | None = None


class Other(NamedTuple):
    """A line that is no frame, and its kind in words: "sent request"."""

    line: int
    kind: str


class Broken(NamedTuple):
    """A line (for a document its first) that can't be read, and why."""

    line: int
    reason: str
    text: str


Item = Frame | Other | Broken

_RECEIVED = re.compile(r"(\d+(?:\.\d+)?): (.*)", re.ASCII)
_CONNECTED = re.compile(r"wss?://\S+ <-> \d+(?:\.\d+)?", re.ASCII)
_WITH_JSON = {
    "sent request": re.compile(r"(?:wss?://\S+ <- \d+(?:\.\d+)?:|>) (.*)", re.ASCII),
    "REST reply": re.compile(r"https?://\S+ -> \d+(?:\.\d+)?: (.*)", re.ASCII),
    "recorder configuration": re.compile(r"configuration: (.*)"),
}
_REQUESTED = re.compile(r"GET|POST|true|false|/api/\S*")
_ARCHIVE = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm"
_GZIP = b"\x1f\x8b"
_TELLING = frozenset({"REST reply", "archive candle", "archive header", "connection", "sent request"})
"""Kinds of lines that only recordings have."""
ENDS = "the compressed data end here"
_FRAME = ('{"arg":', '{"event":')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_UNREADABLE = (msgspec.DecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode


class NoRecording(Exception):
    """A file that holds nothing that an exchange sent, or can't be read."""


def check(path: Path) -> None:
    """Read `path` up to the first line that belongs to a recording.

    Raises:
        NoRecording: There is none.
    """
    if not path.exists():
        raise NoRecording(f"{path}: no such file")
    if path.is_dir():
        raise NoRecording(f"{path}: it is a folder, and no recording")
    try:
        for item, _, _ in read(path):
            if isinstance(item, Frame) and not _names_nothing(item.text):
                return
            if isinstance(item, Other) and item.kind in _TELLING:
                return
    except OSError as error:
        raise NoRecording(f"{path}: {error.strerror or error}") from error
    raise NoRecording(f"{path}: no recording: no line of it is a frame, a reply or an archived candle")


def read(path: Path) -> Iterator[tuple[Item, int, int]]:
    """Every item of the recording, with the lines and the bytes of the file read by then.

    Compressed data that is cut off or damaged ends with a Broken, after all that came before.

    Raises:
        OSError: The file can't be opened or read.
    """
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        capture = Capture(gzip.GzipFile(fileobj=file) if is_compressed else file)
        try:
            for item in capture:
                yield item, capture.lines, file.tell()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Broken(capture.lines + 1, f"{ENDS}: {error}", ""), capture.lines, file.tell()


def _names_nothing(text: str) -> bool:
    """Whether a frame is an object that no exchange sent."""
    return text != "pong" and not any(name in text for name in ('"arg"', '"event"'))


class Capture:
    """Everything in `file` from where it stands, in order: every line is an item, or part of a document that is one."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self.lines = 0
        """Read so far."""
        self._file = file

    def __iter__(self) -> Iterator[Item]:
        document: _Document | None = None
        is_archive = False
        for line in self._lines():
            if document is not None:
                if isinstance(line, str) and document.takes(line):
                    if document.depth <= 0:
                        yield _json(document.line, document.text)
                        document = None
                    continue
                yield document.broken()
                document = None
            if isinstance(line, Broken):
                yield line
            elif line.startswith(_FRAME) and line.endswith("}"):
                yield Frame(self.lines, line)  # nearly always; whoever parses it sees whether it is sound
            elif line == _ARCHIVE:
                is_archive = True
                yield Other(self.lines, "archive header")
            elif is_archive and line:
                yield _archived(self.lines, line)
            elif line.startswith(("{", "[", "= {", "= [")):
                document = _Document(self.lines, line.removeprefix("= "))
                if document.depth <= 0:
                    yield _json(document.line, document.text)
                    document = None
            else:
                yield _single(self.lines, line)
        if document is not None:
            yield document.broken()

    def _lines(self) -> Iterator[str | Broken]:
        while raw := self._file.readline(LINE_LIMIT):
            self.lines += 1
            if self.lines == 1:
                raw = raw.removeprefix(BOM_UTF8)
            if len(raw) == LINE_LIMIT and not raw.endswith(b"\n"):
                shown = raw[:200].decode(errors="backslashreplace")
                while (raw := self._file.readline(LINE_LIMIT)) and not raw.endswith(b"\n"):
                    pass
                yield Broken(self.lines, f"longer than {LINE_LIMIT} bytes", shown)
                continue
            raw = raw.rstrip(b"\r\n")
            try:
                yield raw.decode()
            except UnicodeDecodeError as error:
                reason = f"not UTF-8: {error.reason} at byte {error.start}"
                yield Broken(self.lines, reason, raw.decode(errors="backslashreplace"))


class _Document:
    """A JSON document that may go on over lines: those that are indented, closing, or begin with a name."""

    def __init__(self, line: int, begun: str) -> None:
        self.line = line
        self.depth = 0
        self._size = 0
        self._parts: list[str] = []
        self._append(begun)

    def _append(self, part: str) -> None:
        self._parts.append(part)
        self._size += len(part)
        bare = _STRING.sub("", part)
        self.depth += sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))

    def takes(self, part: str) -> bool:
        """Whether `part` goes on with the document, which then has it."""
        if self._size > LINE_LIMIT or (part and part not in ("{", "[") and part[0] not in ' \t}]"'):
            return False
        self._append(part)
        return True

    @property
    def text(self) -> str:
        return "\n".join(self._parts)

    def broken(self) -> Broken:
        return Broken(self.line, "JSON that does not end", self.text)


def _single(number: int, line: str) -> Item:
    if received := _RECEIVED.fullmatch(line):
        try:
            return Frame(number, received[2], datetime.fromtimestamp(float(received[1]), UTC))
        except (ValueError, OverflowError, OSError) as error:
            return Broken(number, f"{received[1]} is no time in seconds since 1970: {error}", line)
    if line == "pong" or line.startswith("< "):
        return Frame(number, line.removeprefix("< "))
    if not line.strip():
        return Other(number, "blank line")
    if _CONNECTED.fullmatch(line):
        return Other(number, "connection")
    if line.strip() == "=":
        return Other(number, "mark before a push")
    if _REQUESTED.fullmatch(line):
        return Other(number, "REST request")
    for kind, pattern in _WITH_JSON.items():
        if match := pattern.fullmatch(line):
            try:
                _decode(match[1])
            except _UNREADABLE as error:
                return Broken(number, f"{kind}: {error}", line)
            return Other(number, kind)
    return Broken(number, "no known kind of line", line)


def _json(number: int, text: str) -> Item:
    try:
        value = _decode(text)
    except _UNREADABLE as error:
        return Broken(number, str(error), text)
    if not isinstance(value, dict):
        return Broken(number, "JSON, but no object", text)
    match value:
        case {"source": str(), "kind": str(kind), "frame": str(frame)}:
            return Frame(number, frame) if kind.startswith("ws") else _json(number, frame)
        case {"code": _, **rest} if "event" not in rest and "arg" not in rest:
            return Other(number, "REST reply")
        case {"op": str(), "args": list()}:
            return Other(number, "sent request")
    return Frame(number, text)


def _archived(number: int, line: str) -> Item:
    row, names = line.split(","), _ARCHIVE.split(",")
    if len(row) != len(names):
        return Broken(number, f"{len(row)} fields instead of {len(names)}", line)
    try:
        for name, value in zip(names[1:], row[1:], strict=True):
            exact(name, value)
    except InvalidValue as error:
        return Broken(number, str(error), line)
    return Other(number, "archive candle")
