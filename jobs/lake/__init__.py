"""Delta: sessions on the one Spark server, writes that may run twice, reads as of a run or a release."""

from jobs.lake.session import SparkUnavailable, session
from jobs.lake.tables import Lake

__all__ = ["Lake", "SparkUnavailable", "session"]
