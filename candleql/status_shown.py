"""A status, for people as tables and for programs as JSON."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from candleql.status import Status

_ROWS = 50
"""Of a table; the rest is counted. JSON has all."""
_NAMES = {"data_dir": "dataDir"}
_WIDE = 200
"""Columns where no terminal says how many there are."""


def as_json(status: Status, version: str) -> str:
    """One object, indented, with names as GraphQL has them and instants in RFC 3339."""
    place = {_NAMES.get(key, key): value for key, value in status.place.items()}
    told = {
        "healthy": status.healthy,
        "problems": status.problems,
        "version": version,
        "checkedAt": datetime.now(UTC),
        "database": place | {"reached": status.reached, "latencyMs": status.latency_ms},
        "processes": [
            {"command": c.work, "pid": c.pid, "address": c.address, "connections": c.connections, "since": c.since}
            for c in status.clients
        ],
        "feeds": [
            {
                "exchange": f.exchange, "symbol": f.symbol, "channel": f.channel, "connected": f.connected,
                "lastMessageAt": f.last_message_at, "reconnects": f.reconnects, "openGaps": f.open_gaps,
                "lagMs": f.lag_ms,
            }
            for report in status.reports for f in report.feeds
        ],
        "gaps": [
            {"exchange": g.tape.exchange, "symbol": g.tape.symbol, "after": g.after, "before": g.before}
            for g in status.gaps
        ],
        "series": [
            m.series._asdict() | {"candleCount": m.candle_count, "firstTime": m.first_time, "lastTime": m.last_time}
            for m in status.markets
        ],
    }  # fmt: skip
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


def show(status: Status, out: Console) -> None:
    """Print it."""
    now = datetime.now(UTC)
    reached = f"answered in {status.latency_ms:.0f} ms" if status.latency_ms is not None else "not reached"
    out.print(f"{status.database}: {reached}", markup=False)
    if status.clients:
        rows = [
            (f"candleql {c.work}", c.pid, c.address or "this machine", c.connections, _ago(c.since, now))
            for c in status.clients
        ]
        _table(out, ("process", "pid", "address", "connections", "since"), rows)
    feeds = [
        (f.exchange, f.symbol, f.channel, "yes" if f.connected else "no", _ago(f.last_message_at, now),
         "" if f.lag_ms is None else f"{f.lag_ms:.0f} ms", f.reconnects, f.open_gaps)
        for report in status.reports for f in report.feeds
    ]  # fmt: skip
    if feeds:
        columns = ("exchange", "symbol", "channel", "connected", "last message", "lag", "reconnects", "gaps")
        _table(out, columns, feeds)
    if status.gaps:
        gaps = [(g.tape.exchange, g.tape.symbol, g.after.isoformat(), g.before.isoformat()) for g in status.gaps]
        _table(out, ("exchange", "symbol", "missing after", "and before"), gaps)
    if status.markets:
        series = [
            (
                *m.series,
                f"{m.candle_count:,}",
                f"{m.last_time:%Y-%m-%d %H:%M:%S}" if m.last_time else "",
                _ago(m.last_time, now),
            )
            for m in status.markets
        ]
        _table(out, ("exchange", "symbol", "timeframe", "candles", "last candle", "began"), series)
    for problem in status.problems:
        out.print(Text(f"wrong: {problem}", style="red"))
    if status.healthy:
        out.print("healthy")


def _table(out: Console, columns: Iterable[str], rows: Sequence[Iterable[Any]]) -> None:
    table = Table(*columns)
    for row in rows[:_ROWS]:
        table.add_row(*(Text(str(cell)) for cell in row))
    (out if out.is_terminal else Console(file=out.file, width=_WIDE)).print(table)
    if len(rows) > _ROWS:
        out.print(f"and {len(rows) - _ROWS:,} more; --json has all")


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    seconds = max(int((now - moment).total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    return (
        f"{days} d ago"
        if days
        else f"{hours} h ago"
        if hours
        else f"{minutes} min ago"
        if minutes
        else f"{seconds} s ago"
    )
