"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "bots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("strategy_name", sa.Text(), nullable=False),
        sa.Column("exchange", sa.Text(), server_default="okx", nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="inactive", nullable=False),
        sa.Column("virtual_balance", sa.Numeric(), nullable=False),
        sa.Column(
            "config", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("last_heartbeat", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('inactive', 'active', 'paused', 'error')", name=op.f("ck_bots_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bots")),
        sa.UniqueConstraint("name", name=op.f("uq_bots_name")),
    )
    op.create_table(
        "instruments",
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("tick_size", sa.Numeric(), nullable=False),
        sa.Column("lot_size", sa.Numeric(), nullable=False),
        sa.Column("contract_value", sa.Numeric(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("exchange", "symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "market_data",
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Numeric(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=False),
        sa.Column("low", sa.Numeric(), nullable=False),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("volume", sa.Numeric(), nullable=False),
        sa.Column("trade_count", sa.Integer(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("origin IN ('trades', 'exchange', 'client')", name=op.f("ck_market_data_origin")),
        sa.PrimaryKeyConstraint("exchange", "symbol", "timeframe", "start_time", name=op.f("pk_market_data")),
    )
    op.create_index(
        op.f("ix_market_data_exchange_symbol_timeframe_revision"),
        "market_data",
        ["exchange", "symbol", "timeframe", "revision"],
        unique=False,
    )
    op.create_table(
        "raw_trades",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=False),
        sa.Column("raw_data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("trade_id", sa.BigInteger(), nullable=True),
        sa.Column("first_trade_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", "timestamp", name=op.f("pk_raw_trades")),
        sa.UniqueConstraint(
            "exchange", "symbol", "trade_id", "timestamp", name=op.f("uq_raw_trades_exchange_symbol_trade_id_timestamp")
        ),
    )
    op.create_index(
        op.f("ix_raw_trades_exchange_symbol_data_type_timestamp_id"),
        "raw_trades",
        ["exchange", "symbol", "data_type", "timestamp", "id"],
        unique=False,
    )
    op.create_index(
        "ix_raw_trades_tape",
        "raw_trades",
        ["exchange", "symbol", "id"],
        unique=False,
        postgresql_where=sa.text("trade_id IS NOT NULL"),
    )
    op.create_table(
        "series",
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("candle_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("exchange", "symbol", "timeframe", name=op.f("pk_series")),
    )
    op.create_table(
        "tapes",
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("exchange", "symbol", name=op.f("pk_tapes")),
    )


def downgrade() -> None:
    op.drop_table("tapes")
    op.drop_table("series")
    op.drop_index("ix_raw_trades_tape", table_name="raw_trades", postgresql_where=sa.text("trade_id IS NOT NULL"))
    op.drop_index(op.f("ix_raw_trades_exchange_symbol_data_type_timestamp_id"), table_name="raw_trades")
    op.drop_table("raw_trades")
    op.drop_index(op.f("ix_market_data_exchange_symbol_timeframe_revision"), table_name="market_data")
    op.drop_table("market_data")
    op.drop_table("instruments")
    op.drop_table("bots")
