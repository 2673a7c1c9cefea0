"""Trades that are missing."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "gaps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("first_missing_id", sa.BigInteger(), nullable=False),
        sa.Column("last_missing_id", sa.BigInteger(), nullable=False),
        sa.Column("after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gaps")),
    )
    op.create_index(
        op.f("ix_gaps_exchange_symbol_first_missing_id"),
        "gaps",
        ["exchange", "symbol", "first_missing_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_gaps_exchange_symbol_first_missing_id"), table_name="gaps")
    op.drop_table("gaps")
