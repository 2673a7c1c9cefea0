"""Deletions of candles, which readers that resume hear of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("newest_before", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("exchange", "symbol", "timeframe", "revision", name=op.f("pk_deletions")),
    )
    op.add_column("series", sa.Column("forgotten", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("series", "forgotten")
    op.drop_table("deletions")
