"""What a resolver can reach."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from gql.caller import NOBODY, Caller
from gql.execution.paths import Path
from repos.candle_reader import AskedPage, CandlePage
from repos.domain import Instrument, Series
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from repos.stored import StoredCandle

if TYPE_CHECKING:
    from gql.resources import Resources

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

InstrumentKey = tuple[str, str]
"""Exchange and symbol."""


@dataclass(slots=True)
class Context:
    """One request's; a websocket has one for all its operations.

    Its loaders batch, but remember nothing: a subscription lives for days, and what it loaded would go stale.
    """

    resources: "Resources"
    caller: Caller = NOBODY
    path: Path = field(default_factory=Path)
    is_alone: bool = False
    """Whether it is that of a single root field, which would wait for others in vain."""
    _loaders: dict[str, DataLoader[Any, Any]] = field(default_factory=dict)

    @property
    def db(self) -> DatabaseOperations:
        return self.resources.db

    @property
    def feed(self) -> Feed:
        return self.resources.feed

    def alone(self) -> "Context":
        """The same for a single root field."""
        return Context(self.resources, self.caller, self.path, is_alone=True)

    async def candle_page(self, asked: AskedPage) -> CandlePage:
        """A root field's page, read with those of other root fields."""
        if self.is_alone:  # a loader takes a task and two turns of the loop, a fifth of a small query
            [page] = await self._pages([asked])
            return page
        return await self._page.load(asked)

    async def newest_candle(self, series: Series) -> StoredCandle | None:
        """A root field's, likewise."""
        hot = self.feed.windows.newest(series)
        if hot is not None:
            return hot
        if self.is_alone:
            return (await self.db.market_data.stored.newest([series])).get(series)
        return await self.latest_candle.load(series)

    def newest_of(self, series: Series, revision: int = 0) -> StoredCandle | Awaitable[StoredCandle | None]:
        """A row's newest candle, of `revision` or later: out of memory, or read with those of other rows."""
        return self.feed.windows.newest(series, revision) or self.latest_candle.load(series)

    @property
    def _page(self) -> DataLoader[AskedPage, CandlePage]:
        loader = self._loaders.get("page")
        if loader is None:
            loader = self._loaders["page"] = DataLoader(self._pages, cache=False)
        return loader

    @property
    def latest_candle(self) -> DataLoader[Series, StoredCandle | None]:
        return self._loaders.get("latest") or self._loader("latest", _each(self.db.market_data.stored.newest))

    @property
    def instrument(self) -> DataLoader[InstrumentKey, Instrument | None]:
        return self._loaders.get("instrument") or self._loader("instrument", _each(self.db.instruments.get_many))

    async def _pages(self, asked: list[AskedPage]) -> list[CandlePage]:
        """From memory where they lie there, the others from the database."""
        hot = await self.feed.windows.pages(asked)
        missed = [page for page, found in zip(asked, hot, strict=True) if found is None]
        read = iter(await self.db.market_data.stored.pages(missed) if missed else ())
        return [next(read) if found is None else found for found in hot]

    def _loader(self, name: str, load: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> DataLoader[Any, Any]:
        async def load_once(keys: list[Any]) -> Sequence[Any]:
            loader.clear_all()
            return await load(keys)

        # Equal keys of one batch share what they load, and nothing is remembered after it.
        loader = self._loaders[name] = DataLoader(load_once)
        return loader


def _each(find: Callable[[Sequence[K]], Awaitable[dict[K, V]]]) -> Callable[[list[K]], Awaitable[list[V | None]]]:
    async def load(keys: list[K]) -> list[V | None]:
        found = await find(keys)
        return [found.get(key) for key in keys]

    return load


Info = strawberry.Info[Context, None]
