"""The tables, as Alembic's migrations make them (a test runs `alembic check`)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_INSTANT = sa.DateTime(timezone=True)

market_data = sa.Table(
    "market_data",
    metadata,
    sa.Column("exchange", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("timeframe", sa.Text, primary_key=True),
    sa.Column("start_time", _INSTANT, primary_key=True),
    # Unconstrained: numeric(p, s) would round in silence. The border bounds numbers (repos.domain.exact).
    sa.Column("open", sa.Numeric, nullable=False),
    sa.Column("high", sa.Numeric, nullable=False),
    sa.Column("low", sa.Numeric, nullable=False),
    sa.Column("close", sa.Numeric, nullable=False),
    sa.Column("volume", sa.Numeric, nullable=False),
    sa.Column("trade_count", sa.Integer),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("updated_at", _INSTANT, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("origin IN ('trades', 'exchange', 'client')", name="origin"),
    # Readers that resume after a revision.
    sa.Index(None, "exchange", "symbol", "timeframe", "revision"),
)

series = sa.Table(
    "series",
    metadata,
    sa.Column("exchange", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("timeframe", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("first_time", _INSTANT),
    sa.Column("last_time", _INSTANT),
    sa.Column("candle_count", sa.BigInteger, nullable=False, server_default="0"),
    # The last revision whose deletion is not told any more (repos.deletions).
    sa.Column("forgotten", sa.BigInteger, nullable=False, server_default="0"),
)
"""One row a series. Its lock orders the writers, so the revisions of a series commit in order and without a hole."""

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("exchange", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("timeframe", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True),
    sa.Column("start_time", _INSTANT, nullable=False),
    sa.Column("end_time", _INSTANT, nullable=False),
    # The start of the newest candle before the range that was left.
    sa.Column("newest_before", _INSTANT),
)
"""Candles of a series were deleted in [start_time, end_time), by that revision: readers that resume must hear of it."""

raw_trades = sa.Table(
    "raw_trades",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("exchange", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("timestamp", _INSTANT, nullable=False),
    sa.Column("data_type", sa.Text, nullable=False),
    sa.Column("raw_data", JSONB, nullable=False),
    sa.Column("trade_id", sa.BigInteger),
    # An aggregated trade covers the ids first_trade_id to trade_id; a single match has both the same.
    sa.Column("first_trade_id", sa.BigInteger),
    sa.Column("received_at", _INSTANT, nullable=False, server_default=sa.func.now()),
    # timestamp is in every key so that the table can be partitioned by time.
    sa.PrimaryKeyConstraint("id", "timestamp"),
    sa.UniqueConstraint("exchange", "symbol", "trade_id", "timestamp"),
    sa.Index(None, "exchange", "symbol", "data_type", "timestamp", "id"),
    # Readers of the tape that resume after an id.
    sa.Index("ix_raw_trades_tape", "exchange", "symbol", "id", postgresql_where=sa.text("trade_id IS NOT NULL")),
)

tapes = sa.Table(
    "tapes",
    metadata,
    sa.Column("exchange", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("last_id", sa.BigInteger, nullable=False, server_default="0"),
)
"""One row a traded symbol. Its lock orders the writers, so ids in raw_trades ascend in the order of commit."""

gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("exchange", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("first_missing_id", sa.BigInteger, nullable=False),
    sa.Column("last_missing_id", sa.BigInteger, nullable=False),
    sa.Column("after", _INSTANT, nullable=False),
    sa.Column("before", _INSTANT, nullable=False),
    # Since when it counts as open; NULL while it is likely to be recovered in a moment.
    sa.Column("open_since", _INSTANT),
    sa.Index(None, "exchange", "symbol", "first_missing_id"),
)
"""Trades that are missing: a row from when that is noticed until they are recovered."""

bots = sa.Table(
    "bots",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("strategy_name", sa.Text, nullable=False),
    sa.Column("exchange", sa.Text, nullable=False, server_default="okx"),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("timeframe", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="inactive"),
    sa.Column("virtual_balance", sa.Numeric, nullable=False),
    sa.Column("config", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    sa.Column("last_heartbeat", _INSTANT),
    sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _INSTANT, nullable=False, server_default=sa.func.now()),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.CheckConstraint("status IN ('inactive', 'active', 'paused', 'error')", name="status"),
)

instruments = sa.Table(
    "instruments",
    metadata,
    sa.Column("exchange", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("tick_size", sa.Numeric, nullable=False),
    sa.Column("lot_size", sa.Numeric, nullable=False),
    sa.Column("contract_value", sa.Numeric),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("updated_at", _INSTANT, nullable=False, server_default=sa.func.now()),
)

epoch = sa.Table(
    "epoch",
    metadata,
    sa.Column("id", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("value", sa.Uuid, nullable=False),
    sa.CheckConstraint("id", name="single"),
)
"""One row. Positions of readers count for as long as it stays the same (repos.epoch)."""

KEY_ROLES = ("viewer", "trader", "collector", "admin")

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
    sa.Column("expires_at", _INSTANT),
    sa.Column("last_used_at", _INSTANT),
    sa.Column("revoked_at", _INSTANT),
    sa.CheckConstraint("role IN ('viewer', 'trader', 'collector', 'admin')", name="role"),
    # The name of a revoked key is free again.
    sa.Index("ix_api_keys_name", "name", unique=True, postgresql_where=sa.text("revoked_at IS NULL")),
)
