"""A plain Strawberry server: SQLAlchemy's ORM behind resolvers, as the documentation of both shows it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from sqlalchemy import DateTime, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 -- SQLAlchemy's way


class CandleRow(Base):
    __tablename__ = "market_data"
    exchange: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    timeframe: Mapped[str] = mapped_column(primary_key=True)
    start_time: Mapped[datetime] = mapped_column(primary_key=True)
    open: Mapped[Decimal]
    high: Mapped[Decimal]
    low: Mapped[Decimal]
    close: Mapped[Decimal]
    volume: Mapped[Decimal]
    trade_count: Mapped[int | None]
    origin: Mapped[str]


class BotRow(Base):
    __tablename__ = "bots"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    strategy_name: Mapped[str]
    exchange: Mapped[str]
    symbol: Mapped[str]
    timeframe: Mapped[str]
    status: Mapped[str]
    virtual_balance: Mapped[Decimal]


@strawberry.type
class Candle:
    timestamp: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int | None
    origin: str

    @classmethod
    def of(cls, row: CandleRow) -> "Candle":
        return cls(
            timestamp=row.start_time,
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume=row.volume,
            trade_count=row.trade_count,
            origin=row.origin,
        )


@strawberry.type
class Candles:
    nodes: list[Candle]


@strawberry.type
class CandleSeries:
    time: list[float]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    trade_count: list[int | None]


@strawberry.type
class Bot:
    id: strawberry.ID
    name: str
    strategy_name: str
    symbol: str
    status: str
    virtual_balance: Decimal
    timeframe: strawberry.Private[str]

    @strawberry.field
    async def latest_candle(self, info: strawberry.Info[Any, None]) -> Candle | None:
        return await info.context["latest"].load((self.symbol, self.timeframe))  # type: ignore[no-any-return]


@strawberry.type
class Bots:
    nodes: list[Bot]


def plain(url: str) -> GraphQL[Any, None]:
    """The application."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=10, max_overflow=10)
    sessions = async_sessionmaker(engine)

    async def rows(symbol: str, timeframe: str, end: datetime | None, last: int) -> list[CandleRow]:
        query = select(CandleRow).where(
            CandleRow.exchange == "okx", CandleRow.symbol == symbol, CandleRow.timeframe == timeframe
        )
        if end is not None:
            query = query.where(CandleRow.start_time < end)
        async with sessions() as session:
            found = await session.scalars(query.order_by(CandleRow.start_time.desc()).limit(last))
            return list(found)[::-1]

    async def newest(keys: list[tuple[str, str]]) -> list[Candle | None]:
        async with sessions() as session:
            found = {key: await _newest(session, *key) for key in keys}
        return [found[key] for key in keys]

    @strawberry.type
    class Query:
        @strawberry.field
        async def candles(self, symbol: str, timeframe: str, last: int, end: datetime | None = None) -> Candles:
            return Candles(nodes=[Candle.of(row) for row in await rows(symbol, timeframe, end, last)])

        @strawberry.field
        async def candle_series(
            self, symbol: str, timeframe: str, last: int, end: datetime | None = None
        ) -> CandleSeries:
            found = await rows(symbol, timeframe, end, last)
            return CandleSeries(
                time=[row.start_time.timestamp() * 1000 for row in found],
                open=[float(row.open) for row in found],
                high=[float(row.high) for row in found],
                low=[float(row.low) for row in found],
                close=[float(row.close) for row in found],
                volume=[float(row.volume) for row in found],
                trade_count=[row.trade_count for row in found],
            )

        @strawberry.field
        async def latest_candle(self, symbol: str, timeframe: str) -> Candle | None:
            async with sessions() as session:
                return await _newest(session, symbol, timeframe)

        @strawberry.field
        async def bots(self, first: int) -> Bots:
            async with sessions() as session:
                found = await session.scalars(select(BotRow).order_by(BotRow.id).limit(first))
                return Bots(nodes=[_bot(row) for row in found])

    class App(GraphQL[Any, None]):
        async def get_context(self, request: Any, response: Any) -> Any:
            return {"request": request, "response": response, "latest": DataLoader(newest)}

    return App(strawberry.Schema(Query))


def _bot(row: BotRow) -> Bot:
    return Bot(
        id=strawberry.ID(str(row.id)),
        name=row.name,
        strategy_name=row.strategy_name,
        symbol=row.symbol,
        status=row.status,
        virtual_balance=row.virtual_balance,
        timeframe=row.timeframe,
    )


async def _newest(session: AsyncSession, symbol: str, timeframe: str) -> Candle | None:
    query = select(CandleRow).where(
        CandleRow.exchange == "okx", CandleRow.symbol == symbol, CandleRow.timeframe == timeframe
    )
    row = await session.scalar(query.order_by(CandleRow.start_time.desc()).limit(1))
    return None if row is None else Candle.of(row)
