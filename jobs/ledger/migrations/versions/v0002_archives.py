"""members of archives name the archive that they came in"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("part_of", sa.Text(), nullable=True))
    op.create_index("deliveries_part_of", "deliveries", ["part_of"], unique=False)


def downgrade() -> None:
    op.drop_index("deliveries_part_of", "deliveries")
    op.drop_column("deliveries", "part_of")
