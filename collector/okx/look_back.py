"""What happened shortly before a symbol was followed for the first time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from collector.okx.protocol import EXCHANGE
from collector.okx.repair import Repair
from repos.domain import Gap, Timeframe, TradeRecord
from repos.operations import DatabaseOperations

LOOK_BACK = timedelta(hours=1)
"""Candles up to this long are folded from trades at once, those before the start read back; of longer ones the first is
the exchange's."""


class LookBack:
    """Finds symbols that were never followed before `since`; `timeframes` are those of each symbol."""

    def __init__(
        self,
        db: DatabaseOperations,
        repair: Repair,
        timeframes: Mapping[str, Sequence[Timeframe]],
        since: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._repair = repair
        self._timeframes = timeframes
        self._since = since
        self._known: set[str] = set()

    async def before(self, records: Sequence[TradeRecord], now: datetime) -> None:
        """Have the trades since the hour's beginning read back, where these are the first of their symbol.

        To be called before `records` are stored: the gap is, so that whoever is killed then looks back nevertheless.

        Raises:
            DatabaseOperationError: The database failed; calling again is right.
        """
        for symbol in {record.trade.symbol for record in records} - self._known:
            trades = (record.trade for record in records if record.trade.symbol == symbol)
            trade = min(trades, key=lambda trade: (trade.timestamp, trade.trade_id))
            if await self._db.tape.last(EXCHANGE, symbol) is None:
                # The first push is the latest trade of the past, which may be long ago. It comes late when the exchange
                # had no answer at first.
                moment = max(min(trade.timestamp, self._since()), now - LOOK_BACK)
                short = [t for t in self._timeframes[symbol] if not t.months and t.length <= LOOK_BACK]
                since = min((timeframe.floor(moment) for timeframe in short), default=moment)
                if since < trade.timestamp:
                    gap = Gap(EXCHANGE, symbol, 0, trade.first_id - 1, since, trade.timestamp)
                    await self._db.gaps.add(gap)
                    self._repair.report(gap)
            self._known.add(symbol)
