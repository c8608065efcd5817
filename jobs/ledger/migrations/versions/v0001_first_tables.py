"""first tables of the ledger"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("delivery_numbers")))
    op.execute(sa.schema.CreateSequence(sa.Sequence("wave_numbers")))
    op.create_table(
        "alerts",
        sa.Column("alert_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alert_key"),
    )
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("previous_version", sa.BigInteger(), nullable=True),
        sa.Column("delta_version", sa.BigInteger(), nullable=True),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    op.create_index("batches_subject", "batches", ["subject", "table_name"], unique=False)
    op.create_index(
        "batches_open",
        "batches",
        ["table_name"],
        unique=False,
        postgresql_where=sa.text("state IN ('started', 'written')"),
    )
    op.create_table(
        "cases",
        sa.Column("case_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=True),
        sa.Column("entity", sa.Text(), nullable=True),
        sa.Column("business_date", sa.Date(), nullable=True),
        sa.Column("delivery_id", sa.Text(), nullable=True),
        sa.Column("affected_rows", sa.BigInteger(), nullable=False),
        sa.Column("money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("case_id"),
        sa.UniqueConstraint("table_name", "cause", "subject"),
    )
    op.create_index("cases_delivery", "cases", ["delivery_id"], unique=False)
    op.create_index("cases_open", "cases", ["case_id"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bank_now", sa.DateTime(timezone=True), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "day_runs",
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("from_date", sa.Date(), nullable=False),
        sa.Column("to_date", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expected_units", sa.BigInteger(), nullable=False),
        sa.Column("received_units", sa.BigInteger(), nullable=False),
        sa.Column("coverage", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("missing", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deliveries", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_key"),
    )
    op.create_index("day_runs_dates", "day_runs", ["to_date", "from_date"], unique=False)
    op.create_index("day_runs_state", "day_runs", ["state"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("claim_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("stated_rows", sa.BigInteger(), nullable=True),
        sa.Column("stated_money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("received_rows", sa.BigInteger(), nullable=True),
        sa.Column("received_money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("accepted_rows", sa.BigInteger(), nullable=True),
        sa.Column("accepted_money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("rejected_rows", sa.BigInteger(), nullable=True),
        sa.Column("rejected_money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("duplicate_rows", sa.BigInteger(), nullable=True),
        sa.Column("duplicate_money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("raw_uri", sa.Text(), nullable=True),
        sa.Column("rows_uri", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("load_batch", sa.BigInteger(), nullable=True),
        sa.Column("live_batch", sa.BigInteger(), nullable=True),
        sa.Column("supersedes", sa.Text(), nullable=True),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id"),
        sa.UniqueConstraint("claim_key"),
    )
    op.create_index("deliveries_lane", "deliveries", ["business_date", "feed", "entity"], unique=False)
    op.create_index("deliveries_load_batch", "deliveries", ["load_batch"], unique=False)
    op.create_index("deliveries_sha256", "deliveries", ["sha256"], unique=False)
    op.create_index("deliveries_state", "deliveries", ["state"], unique=False)
    op.create_index("deliveries_superseded_by", "deliveries", ["superseded_by"], unique=False)
    op.create_table(
        "dirty_dates",
        sa.Column("dirty_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("dirty_id"),
    )
    op.create_index(op.f("ix_dirty_dates_business_date"), "dirty_dates", ["business_date"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "units",
        sa.Column("branch_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("province_code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("branch_id", "valid_from"),
    )
    op.create_table(
        "balances",
        sa.Column("balance_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("received_rows", sa.BigInteger(), nullable=False),
        sa.Column("received_money", sa.Numeric(precision=28, scale=6), nullable=True),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_balanced", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batches.batch_id"],
        ),
        sa.PrimaryKeyConstraint("balance_id"),
        sa.UniqueConstraint("batch_id", "subject"),
    )
    op.create_index(op.f("ix_balances_table_name"), "balances", ["table_name"], unique=False)
    op.create_table(
        "delivery_dates",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("accepted_rows", sa.BigInteger(), nullable=False),
        sa.Column("accepted_money", sa.Numeric(precision=28, scale=6), nullable=False),
        sa.Column("rejected_rows", sa.BigInteger(), nullable=False),
        sa.Column("rejected_money", sa.Numeric(precision=28, scale=6), nullable=False),
        sa.Column("duplicate_rows", sa.BigInteger(), nullable=False),
        sa.Column("duplicate_money", sa.Numeric(precision=28, scale=6), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.delivery_id"],
        ),
        sa.PrimaryKeyConstraint("delivery_id", "batch_id", "business_date"),
    )
    op.create_index(op.f("ix_delivery_dates_business_date"), "delivery_dates", ["business_date"], unique=False)
    op.create_table(
        "delivery_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.delivery_id"],
        ),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index(op.f("ix_delivery_events_delivery_id"), "delivery_events", ["delivery_id"], unique=False)
    op.create_table(
        "gate_results",
        sa.Column("gate_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("rules_run", sa.BigInteger(), nullable=False),
        sa.Column("failed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("docs_path", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batches.batch_id"],
        ),
        sa.PrimaryKeyConstraint("gate_id"),
        sa.UniqueConstraint("batch_id", "subject"),
    )
    op.create_index(op.f("ix_gate_results_table_name"), "gate_results", ["table_name"], unique=False)
    op.create_table(
        "releases",
        sa.Column("release_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("from_date", sa.Date(), nullable=False),
        sa.Column("to_date", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("expected_units", sa.BigInteger(), nullable=False),
        sa.Column("received_units", sa.BigInteger(), nullable=False),
        sa.Column("missing", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mart_published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report_path", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_key"],
            ["day_runs.run_key"],
        ),
        sa.PrimaryKeyConstraint("release_id"),
        sa.UniqueConstraint("run_key"),
    )
    op.create_index("releases_dates", "releases", ["to_date", "from_date"], unique=False)
    op.create_table(
        "release_tables",
        sa.Column("release_id", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("delta_version", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("from_date", sa.Date(), nullable=False),
        sa.Column("to_date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"],
            ["releases.release_id"],
        ),
        sa.PrimaryKeyConstraint("release_id", "table_name"),
    )


def downgrade() -> None:
    op.execute(sa.schema.DropSequence(sa.Sequence("wave_numbers")))
    op.execute(sa.schema.DropSequence(sa.Sequence("delivery_numbers")))
    op.drop_table("release_tables")
    op.drop_table("releases")
    op.drop_table("gate_results")
    op.drop_table("delivery_events")
    op.drop_table("delivery_dates")
    op.drop_table("balances")
    op.drop_table("units")
    op.drop_table("leases")
    op.drop_table("dirty_dates")
    op.drop_table("deliveries")
    op.drop_table("day_runs")
    op.drop_table("clock")
    op.drop_table("cases")
    op.drop_table("batches")
    op.drop_table("alerts")
