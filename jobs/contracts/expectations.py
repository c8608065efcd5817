"""The vocabulary of rules: Great Expectations' names, and what each may do with a row that breaks it.

A *row* expectation can be decided looking at one row alone and may quarantine. *Uniqueness* is decided within a delivery and business date
(bronze) or within the business date (silver, gold) and may quarantine. A *table* expectation speaks of all rows and may hold, stop or warn.
"""

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
