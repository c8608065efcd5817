"""what sources dropped before it was read, and who said that it goes on without"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = ("dropped_up_to", "skipped_by", "reason")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("slices", sa.Column(name, sa.Text()))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("slices", name)
