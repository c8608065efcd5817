"""Faults of the catalogue that the demo bank can commit, and what each must lead to.

A fault is written "F11" (at its usual place) or "F11:core_transactions:b03"; several branches are joined by "+". Faults
in rows may meet in one file; of those that spoil the file as a whole there is at most one a file.
"""

from jobs.demo_bank.faults.catalogue import KINDS, NOT_BUILT, Kind
from jobs.demo_bank.faults.files import ARCHIVES, Spoilt
from jobs.demo_bank.faults.plan import CAN, Caught, Plan, parse, plan, spoil, spread
from jobs.demo_bank.faults.rows import Proof

__all__ = [
    "ARCHIVES",
    "CAN",
    "KINDS",
    "NOT_BUILT",
    "Caught",
    "Kind",
    "Plan",
    "Proof",
    "Spoilt",
    "parse",
    "plan",
    "spoil",
    "spread",
]
