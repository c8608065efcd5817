"""Reads `expectations/` into typed objects. The only parser of YAML; knows nothing of Spark, files in an inbox, or
databases.

`load(profile)` gives a `Catalog`: every table, source, KPI, reference list and calendar of one bank.
"""

from jobs.contracts.catalog import Catalog, load, profiles, served
from jobs.contracts.errors import ContractError
from jobs.contracts.model import Column, Rule, Table
from jobs.contracts.source import Source

__all__ = ["Catalog", "Column", "ContractError", "Rule", "Source", "Table", "load", "profiles", "served"]
