"""News as text: JSON, cut into pieces that NOTIFY takes."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson

from repos.domain import EPOCH, Bot, BotStatus, Candle, Origin, Series, Side, Timeframe, Trade
from repos.events import BotEventKind, Deletion
from repos.feed.instants import micros, moment_if, moment_of
from repos.feed.news import (
    ANNOUNCED_ROWS,
    Ask,
    AskCollectors,
    BotNews,
    CandleNews,
    CollectorNews,
    DeletedNews,
    FormingNews,
    GapNews,
    News,
    Ping,
    Tape,
    TradeNews,
)
from repos.feed.reports import report_fields, report_of
from repos.json_text import read_json, written

PIECE_BYTES = 7_900
"""PostgreSQL takes payloads below 8,000 bytes."""
_MICROSECOND = timedelta(microseconds=1)
Follows = Callable[[Series | Tape], bool]


def encode(news: News) -> list[str]:
    """The news as payloads of at most PIECE_BYTES, each of which begins "i/n ".

    Rows of candles and trades are a line of their own, so that who does not want them need not read them. The pieces
    of one transaction arrive in a row; numbered, none is dropped as a duplicate of another.
    """
    kind = next(kind for kind, (cls, _, _) in _CODECS.items() if cls is type(news))
    body = orjson.dumps([kind, *_CODECS[kind][1](news)])
    rows = _rows(news)
    if rows is not None:
        body += b"\n" + orjson.dumps(rows)
    # Decimals, names and instants are ASCII nearly always; otherwise a character may take four bytes.
    text = body.decode()
    size = PIECE_BYTES - 16
    if not text.isascii():
        size //= 4
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return [f"{i}/{len(pieces)} {piece}" for i, piece in enumerate(pieces, 1)]


class Decoder:
    """Puts the pieces of one sender together. Feed it payloads in the order of arrival."""

    def __init__(self, follows: Follows) -> None:
        """`follows`: whether anybody follows that series or tape, and so wants the rows of its news."""
        self._follows = follows
        self._pieces: list[str] = []

    def feed(self, payload: str) -> News | None:
        """The news that `payload` completes, or None while pieces are missing.

        Raises:
            ValueError: The payload is not ours, or a piece before it was lost.
        """
        head, _, piece = payload.partition(" ")
        number, _, total = head.partition("/")
        if number == "1":
            self._pieces = []
        self._pieces.append(piece)
        if int(number) != len(self._pieces):
            self._pieces = []
            raise ValueError(f"piece {head} came without those before it")
        if number != total:
            return None
        fields, _, rows = "".join(self._pieces).partition("\n")
        self._pieces = []
        kind, *values = orjson.loads(fields)
        if kind not in _CODECS:
            raise ValueError(f"{kind!r} is no kind of news")
        return _CODECS[kind][2](values, rows, self._follows)


def _row(c: Candle) -> list[Any]:
    # orjson writes an enum's value itself, at a tenth of the cost of asking for it.
    prices = str(c.open), str(c.high), str(c.low), str(c.close), str(c.volume)
    return [(c.start_time - EPOCH) // _MICROSECOND, *prices, c.trade_count, c.origin]


def _candle(series: Series, row: list[Any], is_final: bool) -> Candle:
    start = moment_of(row[0])
    open_, high, low, close, volume = (Decimal(text) for text in row[1:6])
    end = series.timeframe.end(start)
    # Checked by the sender, who built it.
    return Candle.stored(*series, open_, high, low, close, volume, row[6], start, end, Origin(row[7]), is_final)


def _series(names: list[str]) -> Series:
    return Series(names[0], names[1], Timeframe(names[2]))


def _rows(news: News) -> list[Any] | None:
    """The rows that travel behind the fields."""
    match news:
        case CandleNews(candles=[*candles]) if len(candles) <= ANNOUNCED_ROWS:
            return [_row(candle) for candle in candles]
        case TradeNews(trades=[*trades]) if len(trades) <= ANNOUNCED_ROWS:
            return [_trade(trade) for trade in trades]
    return None


def _write_candles(n: CandleNews) -> list[Any]:
    return [list(n.series), n.revision, micros(n.first), micros(n.last)]


def _read_candles(f: list[Any], rows: str, follows: Follows) -> CandleNews:
    series = _series(f[0])
    candles = [_candle(series, row, True) for row in orjson.loads(rows)] if rows and follows(series) else None
    return CandleNews(series, f[1], moment_of(f[2]), moment_of(f[3]), candles)


def _write_deleted(n: DeletedNews) -> list[Any]:
    return [list(n.series), n.revision, *map(micros, n.deletion), n.count]


def _read_deleted(f: list[Any], *_: object) -> DeletedNews:
    return DeletedNews(_series(f[0]), f[1], Deletion(moment_of(f[2]), moment_of(f[3]), moment_if(f[4])), f[5])


def _write_forming(n: FormingNews) -> list[Any]:
    return [[list(c.series), _row(c)] for c in n.candles]


def _read_forming(f: list[Any], *_: object) -> FormingNews:
    return FormingNews([_candle(_series(names), row, False) for names, row in f])


def _write_trades(n: TradeNews) -> list[Any]:
    return [list(n.tape), n.previous_id, n.last_id]


def _trade(t: Trade) -> list[Any]:
    return [t.trade_id, (t.timestamp - EPOCH) // _MICROSECOND, str(t.price), str(t.size), t.side, t.count]


def _read_trades(f: list[Any], rows: str, follows: Follows) -> TradeNews:
    tape = Tape(*f[0])
    trades = None
    if rows and follows(tape):
        trades = [
            Trade(*tape, r[0], moment_of(r[1]), Decimal(r[2]), Decimal(r[3]), Side(r[4]), r[5])
            for r in orjson.loads(rows)
        ]
    return TradeNews(tape, f[1], f[2], trades)


def _write_gap(n: GapNews) -> list[Any]:
    return [list(n.tape), n.id, micros(n.after), micros(n.before), n.is_open]


def _read_gap(f: list[Any], *_: object) -> GapNews:
    return GapNews(Tape(*f[0]), f[1], moment_of(f[2]), moment_of(f[3]), f[4])


def _write_bot(n: BotNews) -> list[Any]:
    b = n.bot
    instants = [micros(moment) for moment in (b.last_heartbeat, b.created_at, b.updated_at)]
    names = [b.name, b.strategy_name, b.exchange, b.symbol, b.timeframe, b.status.value]
    # As text: numbers of any length arrive as they were sent.
    config = written(b.config).decode()
    return [n.kind.value, b.id, *names, format(b.virtual_balance, "f"), config, *instants, b.version]


def _read_bot(f: list[Any], *_: object) -> BotNews:
    kind, id_, name, strategy, exchange, symbol, timeframe, status, balance, config, beat, made, changed, version = f
    bot = Bot(
        id_, name, strategy, exchange, symbol, Timeframe(timeframe), BotStatus(status), Decimal(balance),
        read_json(config), moment_if(beat), moment_of(made), moment_of(changed), version,
    )  # fmt: skip
    return BotNews(BotEventKind(kind), bot)


def _read_collector(f: list[Any], *_: object) -> CollectorNews:
    return CollectorNews(f[0], f[1] and report_of(f[1]))


_CODECS: dict[str, tuple[type, Callable[[Any], list[Any]], Callable[[list[Any], str, Follows], News]]] = {
    "candles": (CandleNews, _write_candles, _read_candles),
    "deleted": (DeletedNews, _write_deleted, _read_deleted),
    "forming": (FormingNews, _write_forming, _read_forming),
    "trades": (TradeNews, _write_trades, _read_trades),
    "gap": (GapNews, _write_gap, _read_gap),
    "bot": (BotNews, _write_bot, _read_bot),
    "collector": (CollectorNews, lambda n: [n.source, n.report and report_fields(n.report)], _read_collector),
    "collectors": (AskCollectors, lambda _: [], lambda *_: AskCollectors()),
    "ask": (Ask, lambda n: [list(n.series)], lambda f, *_: Ask(_series(f[0]))),
    "ping": (Ping, lambda n: [n.token], lambda f, *_: Ping(f[0])),
}
