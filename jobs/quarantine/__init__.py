"""The quarantine bench: what a case is about, what may be done about it, and what came of it.

A fix is proposed by one person and approved by another; then the deliveries it concerns are judged again from what arrived (jobs/load.py), with all fixes that
were ever approved for them, and take the place of what was live. Nothing is written past the gates.
"""

from jobs.ledger.fixes import ACCEPT, NotAllowed
from jobs.quarantine.cases import (
    SAMPLES,
    CodeFound,
    Sample,
    age_days,
    ages,
    changed_since,
    codes_as_yaml,
    codes_of,
    list_of,
    masked,
    rule_columns,
    rule_of,
    said,
    samples,
    shown_change,
    table_of,
    whole_line,
)
from jobs.quarantine.outcome import Effect, effects, restatements, shares
from jobs.quarantine.proposals import (
    approve,
    decline,
    kinds,
    propose_acceptance,
    propose_code,
    propose_correction,
    propose_judging_again,
    propose_rejection,
    propose_resend,
)

__all__ = [
    "ACCEPT",
    "SAMPLES",
    "CodeFound",
    "Effect",
    "NotAllowed",
    "Sample",
    "age_days",
    "ages",
    "approve",
    "changed_since",
    "codes_as_yaml",
    "codes_of",
    "decline",
    "effects",
    "kinds",
    "list_of",
    "masked",
    "propose_acceptance",
    "propose_code",
    "propose_correction",
    "propose_judging_again",
    "propose_rejection",
    "propose_resend",
    "restatements",
    "rule_columns",
    "rule_of",
    "said",
    "samples",
    "shares",
    "shown_change",
    "table_of",
    "whole_line",
]
