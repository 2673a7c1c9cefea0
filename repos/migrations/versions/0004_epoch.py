"""The epoch: the history in which positions of readers count."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "epoch",
        sa.Column("id", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("value", sa.Uuid(), nullable=False),
        sa.CheckConstraint("id", name=op.f("ck_epoch_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_epoch")),
    )
    op.execute("INSERT INTO epoch (value) VALUES (gen_random_uuid())")


def downgrade() -> None:
    op.drop_table("epoch")
