"""Rule D1 and the stable party id (customer_360.md E6, E9, E10; pairs P1, P3, P5, P6, P8, P11, P22)."""

from __future__ import annotations

import itertools

import pytest

from tests.tables import Tables, day_of, shown

SAME_PERSON = """
    silver.parties_source
    customer_key | id_token | name_normal_token | valid_from
    core:1       | id1      | wang              | 2026-09-10
    life:7       | id1      | wang              | 2026-09-01
    core:2       | id2      | li                | 2026-09-01
"""


def links(spark, text, day=None):
    return shown(
        Tables(spark, text).run("silver.party_links", day=day or day_of("2026-09-01", "2026-09-30")),
        "customer_key",
        "party_id",
        "rule",
        "valid_from",
    )


def test_p1_equal_number_and_name_are_one_party_named_after_its_first_record(spark):
    assert links(spark, SAME_PERSON) == [
        ("core:1", "life:7", "D1", "2026-09-10"),
        ("core:2", "core:2", "single", "2026-09-01"),
        ("life:7", "life:7", "D1", "2026-09-10"),
        ("life:7", "life:7", "single", "2026-09-01"),
    ]


PAIRS = {
    "P3: sounds alike, written otherwise": ("id1 | wang | true | person", "id1 | wang2 | true | person", "1"),
    "P5: two valid numbers, same name": ("id1 | wang | true | person", "id2 | wang | true | person", "0"),
    "P6: one number fails its check": ("id1 | wang | true | person", "id1x | wang | false | person", "0"),
    "P8: one number, two people": ("id1 | li | true | person", "id1 | chen | true | person", "1"),
    "P11: an owner is not the firm": ("id1 | zhao | true | person", "id1 | zhao | true | organisation", "0"),
    "P22: a name alone": (" | wang | false | person", " | wang | false | person", "0"),
    "both numbers invalid and equal": ("id1 | wang | false | person", "id1 | wang | false | person", "0"),
    "a number without a name": ("id1 |  | true | person", "id1 |  | true | person", "0"),
}


@pytest.mark.parametrize(("a", "b", "conflicts"), PAIRS.values(), ids=PAIRS.keys())
def test_all_else_stays_separate_and_conflicts_are_counted(spark, a, b, conflicts):
    made = Tables(
        spark,
        f"""
        silver.parties_source
        customer_key | id_token | name_normal_token | id_valid | party_type | valid_from
        core:1 | {a} | 2026-09-01
        app:9 | {b} | 2026-09-01
    """,
    ).run("silver.party_links", day=day_of("2026-09-01"))
    assert shown(made, "customer_key", "party_id", "rule", "conflict_count") == [
        ("app:9", "app:9", "single", conflicts),
        ("core:1", "core:1", "single", conflicts),
    ]


def test_of_two_records_of_one_day_the_smaller_key_names_the_party(spark):
    made = links(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from
        core:2       | id1      | wang              | 2026-09-01
        core:1       | id1      | wang              | 2026-09-01
    """,
    )
    assert {row[1] for row in made} == {"core:1"}


def test_neither_order_nor_partitions_change_the_result(spark):
    head, *rows = [line for line in SAME_PERSON.strip().splitlines() if line.strip()][1:]
    expected = links(spark, SAME_PERSON)
    for order in itertools.islice(itertools.permutations(rows), 1, None, 2):
        tables = Tables(spark, "\n".join(["silver.parties_source", head, *order]))
        tables.frames["silver.parties_source"] = tables.frames["silver.parties_source"].repartition(8)
        assert (
            shown(
                tables.run("silver.party_links", day=day_of("2026-09-01", "2026-09-30")),
                "customer_key",
                "party_id",
                "rule",
                "valid_from",
            )
            == expected
        )


def test_a_corrected_number_takes_a_record_out_of_its_party_and_gives_it_its_own_id(spark):
    made = links(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from | valid_to
        core:1       | id1      | wang              | 2026-09-01 |
        core:2       | id1      | wang              | 2026-09-02 | 2026-09-15
        core:2       | id2      | wang              | 2026-09-15 |
    """,
        day_of("2026-09-15"),
    )
    assert made == [("core:1", "core:1", "single", "2026-09-15"), ("core:2", "core:2", "single", "2026-09-15")]


def test_a_day_without_changes_of_a_group_says_nothing_of_it(spark):
    made = links(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from
        core:1       | id1      | wang              | 2026-09-01
        core:2       | id2      | li                | 2026-09-15
    """,
        day_of("2026-09-15"),
    )
    assert made == [("core:2", "core:2", "single", "2026-09-15")]


def test_a_late_record_of_an_older_day_tells_later_days_anew(spark):
    """core:1 came on the 10th; life:7, of the 5th, arrives late: from the 10th on both are life:7."""
    made = links(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from
        core:1       | id1      | wang              | 2026-09-10
        life:7       | id1      | wang              | 2026-09-05
    """,
        day_of("2026-09-05"),
    )
    assert made == [
        ("core:1", "life:7", "D1", "2026-09-10"),
        ("life:7", "life:7", "D1", "2026-09-10"),
        ("life:7", "life:7", "single", "2026-09-05"),
    ]
