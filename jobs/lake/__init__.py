"""Delta: sessions on the one Spark server, writes that may run twice, reads as of a run or a release."""

from jobs.lake.session import DiskFull, SparkUnavailable, room, session
from jobs.lake.tables import Lake

__all__ = ["DiskFull", "Lake", "SparkUnavailable", "room", "session"]
