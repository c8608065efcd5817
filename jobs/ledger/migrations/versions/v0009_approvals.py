"""days of closed months that somebody wants told anew or taken back, and what a second person said"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("run_key", sa.Text(), nullable=True),
        sa.CheckConstraint("state <> 'approved' or coalesce(decided_by <> asked_by, false)", name="four_eyes"),
        sa.ForeignKeyConstraint(["run_key"], ["day_runs.run_key"]),
        sa.PrimaryKeyConstraint("approval_id"),
    )
    is_waiting = sa.text("state = 'waiting'")
    op.create_index(
        "approvals_waiting", "approvals", ["business_date", "act"], unique=True, postgresql_where=is_waiting
    )


def downgrade() -> None:
    op.drop_table("approvals")
