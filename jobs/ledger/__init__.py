"""What happened: deliveries, batches, gate results, balances, cases, days, releases, leases and the bank's clock, in
PostgreSQL.

Rows of the bank live in Delta; this schema (`<profile>_ledger`) holds only what became of them. `connect(profile)`
gives a `Ledger`; the modules beside (deliveries, batches, gates, days, releases, leases, clock) are the questions
asked of it, each taking an open connection, so that a caller decides what belongs into one transaction."""

from jobs.ledger.database import Ledger, LedgerUnavailable, connect

__all__ = ["Ledger", "LedgerUnavailable", "connect"]
