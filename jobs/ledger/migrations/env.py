"""Alembic's entry: runs on the connection that `Ledger.migrate` hands over, inside the bank's own schema and version
table."""

from alembic import context

from jobs.ledger import deliveries  # noqa: F401  (its sequences belong to the metadata)
from jobs.ledger.models import Base

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_name=lambda name, kind, _: name != "schema_version",
    version_table="schema_version",
    version_table_schema=schema,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
