"""Pages as Relay connections. Everything but the rows is made only when a client selects it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import strawberry

from gql.cursors import live_cursor
from gql.edges import Edge, StoredEdges
from gql.scalars import BigInt
from gql.types import LIVE_CURSOR, Bot, Candle, Instrument, RawTrade, shown
from repos import domain
from repos.candle_reader import CandlePage
from repos.domain import Page
from repos.stored import StoredCandles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection(Generic[T]):
    """A page, and how its rows' cursors are written."""

    page: Page[T]
    cursor_of: Callable[[T], str]

    @property
    def nodes(self) -> Sequence[T]:
        return self.page.rows

    @property
    def edges(self) -> Sequence[Edge[T]]:
        rows = self.page.rows
        if isinstance(rows, StoredCandles):
            return StoredEdges(rows, self.cursor_of)
        return [Edge(row, self.cursor_of) for row in rows]

    @property
    def page_info(self) -> "Connection[T]":
        return self

    @property
    def has_next_page(self) -> bool:
        return self.page.has_next

    @property
    def has_previous_page(self) -> bool:
        return self.page.has_previous

    @property
    def start_cursor(self) -> str | None:
        return self.cursor_of(self.page.rows[0]) if self.page.rows else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor_of(self.page.rows[-1]) if self.page.rows else None


@dataclass(frozen=True, slots=True)
class CountedConnection(Connection[T]):
    """`count` counts the whole list."""

    count: Callable[[], Awaitable[int]]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = shown("Whether rows follow this page.")
    has_previous_page: bool = shown("Whether rows precede this page.")
    start_cursor: str | None = shown("Cursor of the first row; null on an empty page.")
    end_cursor: str | None = shown("Cursor of the last row; null on an empty page.")


CURSOR = "Opaque; hand it back as `after` or `before`."
ROW = "The row itself."
EDGES = "The rows with their cursors."
NODES = "The rows alone."
PAGE_INFO = "Where this page stands in the list."
COUNTED = "Counted only when selected."


async def _total_count(root: strawberry.Parent[CountedConnection[Any]]) -> BigInt | None:
    return BigInt(await root.count())


def _live_cursor(root: strawberry.Parent[Connection[domain.Candle]]) -> str:
    return live_cursor(cast("CandlePage", root.page).position)


@strawberry.type(description="A candle and its place.")
class CandleEdge:
    cursor: str = shown(CURSOR)
    node: Candle = shown(ROW)


@strawberry.type(description="A page of candles, oldest first.")
class CandleConnection:
    edges: list[CandleEdge] = shown(EDGES)
    nodes: list[Candle] = shown(NODES)
    page_info: PageInfo = shown(PAGE_INFO)
    total_count: BigInt | None = strawberry.field(resolver=_total_count, description=COUNTED)
    live_cursor: str = strawberry.field(resolver=_live_cursor, description=LIVE_CURSOR)


@strawberry.type(description="A piece of raw data and its place.")
class RawTradeEdge:
    cursor: str = shown(CURSOR)
    node: RawTrade = shown(ROW)


@strawberry.type(description="A page of raw data, oldest first.")
class RawTradeConnection:
    edges: list[RawTradeEdge] = shown(EDGES)
    nodes: list[RawTrade] = shown(NODES)
    page_info: PageInfo = shown(PAGE_INFO)
    total_count: BigInt | None = strawberry.field(resolver=_total_count, description=COUNTED)


@strawberry.type(description="A bot and its place.")
class BotEdge:
    cursor: str = shown(CURSOR)
    node: Bot = shown(ROW)


@strawberry.type(description="A page of bots, by id.")
class BotConnection:
    edges: list[BotEdge] = shown(EDGES)
    nodes: list[Bot] = shown(NODES)
    page_info: PageInfo = shown(PAGE_INFO)
    total_count: BigInt | None = strawberry.field(resolver=_total_count, description=COUNTED)


@strawberry.type(description="An instrument and its place.")
class InstrumentEdge:
    cursor: str = shown(CURSOR)
    node: Instrument = shown(ROW)


@strawberry.type(description="A page of instruments, by symbol.")
class InstrumentConnection:
    edges: list[InstrumentEdge] = shown(EDGES)
    nodes: list[Instrument] = shown(NODES)
    page_info: PageInfo = shown(PAGE_INFO)
    total_count: BigInt | None = strawberry.field(resolver=_total_count, description=COUNTED)
