"""The vocabulary of rules: Great Expectations' names, and what each may do with a row that breaks it.

A *row* expectation can be decided looking at one row alone and may quarantine. *Uniqueness* is decided within a
delivery and business date (bronze) or within the business date (silver, gold) and may quarantine. A *table*
expectation speaks of all rows and may hold, stop or warn."""

from __future__ import annotations

ROW = {
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    "expect_column_values_to_match_regex",
    "expect_column_values_to_not_match_regex",
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
    "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_column_pair_values_to_be_equal",
}
UNIQUE = {
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
}
TABLE = {
    "expect_table_row_count_to_be_between",
    "expect_column_sum_to_be_between",
    "expect_column_mean_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_max_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
    "expect_column_unique_value_count_to_be_between",
}
KNOWN = ROW | UNIQUE | TABLE
ON_FAIL = {"quarantine", "hold", "stop", "warn"}

_COLUMN = frozenset({"column"})
_PAIR = frozenset({"column_A", "column_B"})
# The kwargs that an expectation cannot do without.
REQUIRED: dict[str, frozenset[str]] = dict.fromkeys(KNOWN, _COLUMN) | {
    "expect_column_values_to_be_in_set": _COLUMN | {"value_set"},
    "expect_column_values_to_not_be_in_set": _COLUMN | {"value_set"},
    "expect_column_values_to_match_regex": _COLUMN | {"regex"},
    "expect_column_values_to_not_match_regex": _COLUMN | {"regex"},
    "expect_column_value_lengths_to_equal": _COLUMN | {"value"},
    "expect_column_pair_values_a_to_be_greater_than_b": _PAIR,
    "expect_column_pair_values_to_be_equal": _PAIR,
    "expect_compound_columns_to_be_unique": frozenset({"column_list"}),
    "expect_table_row_count_to_be_between": frozenset(),
}
BOUNDS = frozenset({"min_value", "max_value"})
# A bound of a number of rows, told in what the lane usually holds.
USUAL = r"(\d+(?:\.\d+)?) \* usual_rows"
# `..._between` needs one bound at least.
BETWEEN = {name for name in KNOWN if name.endswith("_to_be_between")}


def allowed(expectation: str) -> frozenset[str]:
    """All kwargs that an expectation takes. `mostly` is a tolerance: the share of rows that must pass."""
    kwargs = REQUIRED[expectation]
    if expectation in BETWEEN:
        kwargs |= BOUNDS | {"strict_min", "strict_max"}
    if expectation in ROW:
        kwargs |= {"mostly"}
    if expectation == "expect_column_pair_values_a_to_be_greater_than_b":
        kwargs |= {"or_equal"}
    return kwargs
