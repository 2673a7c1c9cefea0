"""The command that deletes candles."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from candleql.console import DataDir, begin, out, run
from candleql.errors import UserError
from repos.domain import Series, instant


def delete_command(
    symbol: Annotated[str, typer.Argument(help="An instrument, such as BTC-USDT.")],
    timeframe: Annotated[str, typer.Argument(help="Such as 1m.")],
    start: Annotated[datetime, typer.Option(help="UTC, such as 2024-01-31 or 2024-01-31T12:00:00.")],
    end: Annotated[datetime, typer.Option(help="UTC, exclusive.")],
    exchange: Annotated[str, typer.Option(help="Whose candles.")] = "okx",
    data_dir: DataDir = None,
) -> None:
    """Delete the stored candles of one series that start in a range of time."""
    settings = begin(quiet=True)
    series = Series.of(exchange, symbol, timeframe)
    since, until = (instant(name, given.replace(tzinfo=UTC)) for name, given in (("start", start), ("end", end)))
    if since >= until:
        raise UserError(f"--start {since.isoformat()} is not before --end {until.isoformat()}")

    from candleql.database import database

    async def work() -> int:
        async with database(settings, data_dir) as db:
            return await db.market_data.delete_candles(*series, since, until)

    out.print(f"{series.symbol} {series.timeframe}: {run(work()):,} candles deleted", markup=False)
