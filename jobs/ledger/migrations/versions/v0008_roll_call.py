"""cut-off and successor of a branch; what lies in the inbox and cannot be taken; how an alert came to an end"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("units", sa.Column("cut_off", sa.Text(), nullable=True))
    op.add_column("units", sa.Column("merged_into", sa.Text(), nullable=True))
    op.create_table(
        "sightings",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("path"),
    )
    op.create_index("sightings_date", "sightings", ["business_date"])
    is_not_accepted = sa.text("state IN ('refused', 'held')")
    op.create_index("deliveries_not_accepted", "deliveries", ["claimed_at"], postgresql_where=is_not_accepted)
    op.add_column("alerts", sa.Column("end", sa.Text(), nullable=True))
    op.create_index("alerts_open", "alerts", ["raised_at"], postgresql_where=sa.text("closed_at IS NULL"))
    op.create_index("alerts_ended", "alerts", ["closed_at"], postgresql_where=sa.text('"end" IS NOT NULL'))
    op.add_column("alerts_sent", sa.Column("is_end", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_constraint("alerts_sent_pkey", "alerts_sent", type_="primary")
    op.create_primary_key("alerts_sent_pkey", "alerts_sent", ["alert_key", "channel", "is_end"])


def downgrade() -> None:
    op.execute("delete from alerts_sent where is_end")
    op.drop_constraint("alerts_sent_pkey", "alerts_sent", type_="primary")
    op.create_primary_key("alerts_sent_pkey", "alerts_sent", ["alert_key", "channel"])
    op.drop_column("alerts_sent", "is_end")
    op.drop_index("alerts_ended", "alerts")
    op.drop_index("alerts_open", "alerts")
    op.drop_column("alerts", "end")
    op.drop_index("deliveries_not_accepted", "deliveries")
    op.drop_table("sightings")
    op.drop_column("units", "merged_into")
    op.drop_column("units", "cut_off")
