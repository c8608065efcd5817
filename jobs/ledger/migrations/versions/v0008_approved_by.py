"""who approved that a day of a closed month is told anew; in which encoding a delivery was read, and how many characters it has"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("day_runs", sa.Column("approved_by", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("encoding", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("characters", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("deliveries", "characters")
    op.drop_column("deliveries", "encoding")
    op.drop_column("day_runs", "approved_by")
