"""which alerts were told to people, and how"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts_sent",
        sa.Column("alert_key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["alert_key"], ["alerts.alert_key"]),
        sa.PrimaryKeyConstraint("alert_key", "channel"),
    )


def downgrade() -> None:
    op.drop_table("alerts_sent")
