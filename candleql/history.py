"""Commands that fill in the past: recordings played again, and the exchange's own candles."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from candleql.configuration import configuration
from candleql.console import Config, DataDir, begin, out, run
from candleql.errors import UserError
from collector.captures import NoRecording, check
from collector.config import CollectorConfig
from repos.domain import InvalidValue, Timeframe, instant

if TYPE_CHECKING:
    from collector.replay import ReplayReport

# As in candleql.cli: a command imports the rest by itself.

_TIME = "%Y-%m-%dT%H:%M:%S"


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1_000_000:
        raise UserError(f"--speed: {text!r} is neither max nor a number above 0, such as 1 or 60")
    return speed


def _timeframes(text: str | None, config: Path | None) -> tuple[CollectorConfig | None, list[Timeframe]]:
    if text is not None:
        return None, _parsed(text, "--timeframes")
    loaded = configuration(config)
    return loaded, list(dict.fromkeys(timeframe for pair in loaded.pairs() for timeframe in pair.timeframes))


def _parsed(text: str, option: str) -> list[Timeframe]:
    try:
        return list(dict.fromkeys(Timeframe(part.strip()) for part in text.split(",")))
    except InvalidValue as error:
        raise UserError(f"{option}: {error.problem}") from error


def replay_command(
    files: Annotated[list[Path], typer.Argument(help="Recordings: cryptofeed's, or a frame a line.")],
    speed: Annotated[str, typer.Option(help="Times the recorded speed, or max.")] = "max",
    timeframes: Annotated[str | None, typer.Option(help="Such as 5s,1m. Default: those of --config.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Play recordings into the database, every instrument in them."""
    settings = begin(quiet=True)
    pace = _speed(speed)
    loaded, wanted = _timeframes(timeframes, config)
    own = {pair.symbol: pair.timeframes for pair in loaded.pairs()} if loaded else {}
    try:
        for file in files:
            check(file)
    except NoRecording as error:
        raise UserError(str(error)) from error

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from candleql.database import database
    from collector.replay import replay

    async def work() -> "ReplayReport":
        async with database(settings, data_dir, "replay") as db:
            columns = (TextColumn("replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("replay")
                return await replay(
                    files,
                    db,
                    timeframes=lambda symbol: own.get(symbol, wanted),
                    speed=pace,
                    store_raw_data=loaded is not None and loaded.store_raw_data,
                    force_update=loaded is not None and loaded.force_update_candles,
                    on_progress=lambda done, total: progress.update(task, completed=done, total=total),
                )

    report = run(work())
    _tell(report)
    for symbol, (first, last) in sorted(report.spans.items()):
        _tell_ends(symbol, first, last, own.get(symbol, wanted))
    if report.cut_off:
        raise UserError(f"{report.cut_off[0]}; what came before is stored")


def _tell(report: "ReplayReport") -> None:
    out.print(
        f"{report.lines:,} lines, {report.frames:,} frames; {report.trades_seen:,} trades seen, "
        f"{report.trades_stored:,} new; {report.candles_written:,} candles written"
    )
    if report.points_stored:
        out.print(f"{report.points_stored:,} objects of other channels stored")
    if report.others:
        out.print("No trades, so no candles were made of:" if report.points_stored else "Not used:")
    for kind, count in sorted(report.others.items()):
        out.print(f"  {count:>8,}  {kind}", markup=False)
    if report.others.keys() & {"archive candle", "REST reply"}:
        out.print("candleql backfill fetches the exchange's own candles.")
    for line in report.malformed:
        out.print(str(line), markup=False)
    if report.malformed_count:
        out.print(f"{report.malformed_count:,} lines could not be read; the log has their text")
    if report.refused:
        out.print(f"{report.refused:,} trades or objects were refused as malformed; the log has their text")


def _tell_ends(symbol: str, first: datetime, last: datetime, timeframes: Sequence[Timeframe]) -> None:
    """Which candles are partial: the recording begins and ends inside them."""
    if not timeframes:
        return
    since = min(timeframe.floor(first) for timeframe in timeframes)
    until = max(timeframe.end(timeframe.floor(last)) for timeframe in timeframes)
    names = ",".join(map(str, timeframes))
    out.print(
        f"{symbol}: trades from {first:{_TIME}} to {last:{_TIME}}; the candles that hold these two may be partial. "
        f"To mend them: candleql backfill {symbol} -t {names} --since {since:{_TIME}} --until {until:{_TIME}} --mend",
        markup=False,
    )


def backfill_command(
    symbols: Annotated[list[str], typer.Argument(help="Instruments, such as BTC-USDT.")],
    timeframe: Annotated[str, typer.Option("--timeframe", "-t", help="Such as 1m, or several: 1m,1h.")],
    since: Annotated[datetime, typer.Option(help="UTC, such as 2024-01-31 or 2024-01-31T12:00:00.")],
    until: Annotated[datetime | None, typer.Option(help="UTC, exclusive. Default: now.")] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Replace stored candles that differ from the exchange's.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch the exchange's own candles of a past time."""
    settings = begin(quiet=True)
    spans = _parsed(timeframe, "--timeframe")
    start = instant("since", since.replace(tzinfo=UTC))
    end = instant("until", until.replace(tzinfo=UTC)) if until else datetime.now(UTC)
    if start >= end:
        raise UserError(f"--since {start.isoformat()} is not before --until {end.isoformat()}")

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from candleql.database import database
    from collector.backfill import backfill
    from collector.okx.rest import OKXError, OKXRest

    async def work() -> None:
        async with database(settings, data_dir, "backfill") as db, OKXRest(settings.okx_rest_url) as rest:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
                for symbol, span in product(symbols, spans):
                    task = progress.add_task(f"{symbol} {span}", total=(end - start).total_seconds())

                    def back(moment: datetime, task: Any = task) -> None:
                        progress.update(task, completed=(end - moment).total_seconds())

                    try:
                        count = await backfill(db, rest, symbol, span, start, end, back, mend=mend)
                    except OKXError as error:
                        raise UserError(str(error)) from error
                    out.print(f"{symbol} {span}: {count:,} candles written")

    run(work())
