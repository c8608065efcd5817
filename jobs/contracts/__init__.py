"""Reads `expectations/` into typed objects. The only parser of YAML; knows nothing of Spark, files in an inbox, or
databases.

`load(profile)` gives a `Catalog`: every table, source, KPI, reference list and calendar of one bank.
"""

from jobs.contracts.catalog import Catalog, load, profiles, served
from jobs.contracts.column import Column
from jobs.contracts.errors import ContractError
from jobs.contracts.model import Table
from jobs.contracts.rule import Rule
from jobs.contracts.source import Source

__all__ = ["Catalog", "Column", "ContractError", "Rule", "Source", "Table", "load", "profiles", "served"]
