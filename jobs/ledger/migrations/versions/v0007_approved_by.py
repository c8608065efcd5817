"""who approved that a day of a closed month is told anew"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("day_runs", sa.Column("approved_by", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("day_runs", "approved_by")
