"""Rows with their cursors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from repos.stored import StoredCandles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Edge(Generic[T]):
    node: T
    cursor_of: Callable[[T], str]

    @property
    def cursor(self) -> str:
        return self.cursor_of(self.node)


class StoredEdges(Sequence[Edge[Any]]):
    """Edges that are made as they are read, of candles that can be printed as they are."""

    __slots__ = ("candles", "cursor_of")

    def __init__(self, candles: StoredCandles, cursor_of: Callable[[Any], str]) -> None:
        self.candles = candles
        self.cursor_of = cursor_of

    def __len__(self) -> int:
        return len(self.candles)

    def __getitem__(self, index: Any) -> Any:
        return Edge(self.candles[index], self.cursor_of)
