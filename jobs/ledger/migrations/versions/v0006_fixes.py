"""the quarantine bench: what people propose to do about a case, who decided, what is judged again, and codes that were given a meaning"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fixes",
        sa.Column("fix_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("change", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("turn", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state not in ('approved', 'done') or coalesce(decided_by <> proposed_by, false)", name="four_eyes"
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"]),
        sa.PrimaryKeyConstraint("fix_id"),
    )
    op.create_index("fixes_case", "fixes", ["case_id"])
    op.create_table(
        "replays",
        sa.Column("fix_id", sa.BigInteger(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.delivery_id"]),
        sa.ForeignKeyConstraint(["fix_id"], ["fixes.fix_id"]),
        sa.PrimaryKeyConstraint("fix_id", "delivery_id"),
    )
    op.create_index("replays_delivery", "replays", ["delivery_id"])
    op.create_index("replays_open", "replays", ["state"], postgresql_where=sa.text("state IN ('waiting', 'running')"))
    op.create_table(
        "codes",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=True),
        sa.Column("fix_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["fix_id"], ["fixes.fix_id"]),
        sa.PrimaryKeyConstraint("reference", "code"),
    )


def downgrade() -> None:
    op.drop_table("codes")
    op.drop_table("replays")
    op.drop_table("fixes")
