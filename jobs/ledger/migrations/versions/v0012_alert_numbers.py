"""numbers of alerts, and who closed one"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("alert_numbers")))
    op.add_column("alerts", sa.Column("number", sa.BigInteger()))
    op.add_column("alerts", sa.Column("closed_by", sa.Text()))
    # In the order in which they were told; what was only noted has none.
    op.execute(
        "update alerts set number = told.number from (select alert_key, row_number() over (order by raised_at, alert_key) as number from alerts where kind <> 'once') told "
        "where alerts.alert_key = told.alert_key"
    )
    op.execute("select setval('alert_numbers', max(number)) from alerts having max(number) is not null")
    op.create_unique_constraint("alerts_number", "alerts", ["number"])


def downgrade() -> None:
    op.drop_constraint("alerts_number", "alerts")
    op.drop_column("alerts", "closed_by")
    op.drop_column("alerts", "number")
    op.execute(sa.schema.DropSequence(sa.Sequence("alert_numbers")))
