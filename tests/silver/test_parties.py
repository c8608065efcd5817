from tests.tables import Tables, day_of, shown

MONTH = ("2026-09-01", "2026-09-30")


def parties(spark, text, *columns, day=None):
    day = day or day_of(*MONTH)
    tables = Tables(spark, text)
    tables.run("silver.party_links", day=day_of("2020-01-01", "2026-12-31"))
    return shown(tables.run("silver.parties", day=day), "party_id", "valid_from", *columns)


def test_two_records_of_one_person_are_one_party(spark):
    made = parties(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from | branch_id | acquisition_source
        core:1       | id1      | wang              | 2026-09-01 | b1        | partner
        life:7       | id1      | wang              | 2026-09-10 | b2        | own
    """,
        "source_record_count",
        "home_branch_id",
        "acquisition_source",
        "acquired_on",
    )
    assert made == [
        ("core:1", "2026-09-01", "1", "b1", "partner", "2026-09-01"),
        ("core:1", "2026-09-10", "2", "b1", "partner", "2026-09-01"),
    ]


def test_data_of_a_valid_number_beat_newer_ones_and_a_null_overwrites_nothing(spark):
    tables = Tables(
        spark,
        """
        silver.parties_source
        customer_key | id_token | id_valid | birth_date | gender | home_province_code | valid_from | valid_to
        core:1       | id1      | true     | 1990-03-07 | M      | 11                 | 2026-09-01 | 2026-09-05
        core:1       | id1      | true     | 1990-03-07 | M      |                    | 2026-09-05 | 2026-09-09
        core:1       | bad      | false    | 1991-01-01 |        | 44                 | 2026-09-09 |
    """,
    )
    tables.run("silver.party_links", day=day_of(*MONTH))
    made = tables.run("silver.parties", day=day_of(*MONTH))
    assert shown(made, "valid_from", "birth_date", "gender", "home_province_code") == [
        ("2026-09-01", "1990-03-07", "M", "11"),
        ("2026-09-05", "1990-03-07", "M", ""),  # one record: what it says now
        ("2026-09-09", "1991-01-01", "", "44"),
    ]
    two = parties(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | gender | home_province_code | valid_from
        core:1       | id1      | wang              | M      | 11                 | 2026-09-01
        core:2       | id1      | wang              |        |                    | 2026-09-01
        core:3       | id1      | wang              |        | 44                 | 2026-09-02
    """,
        "gender",
        "home_province_code",
        day=day_of("2026-09-02"),
    )
    assert two == [("core:1", "2026-09-02", "M", "44")]


def test_a_merged_id_stays_as_a_redirect(spark):
    made = parties(
        spark,
        """
        silver.parties_source
        customer_key | id_token | id_valid | name_normal_token | valid_from | valid_to
        core:1       | id1      | true     | wang              | 2026-09-01 |
        core:2       |          | false    | wang              | 2026-09-02 | 2026-09-15
        core:2       | id1      | true     | wang              | 2026-09-15 |
    """,
        "source_record_count",
        "merged_into",
        day=day_of("2026-09-15"),
    )
    assert made == [("core:1", "2026-09-15", "2", ""), ("core:2", "2026-09-15", "0", "core:1")]


def test_one_number_under_two_names_is_a_conflict_on_both(spark):
    made = parties(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from
        core:1       | id1      | li                | 2026-09-01
        core:2       | id1      | chen              | 2026-09-01
    """,
        "conflict_count",
    )
    assert made == [("core:1", "2026-09-01", "1"), ("core:2", "2026-09-01", "1")]


def test_the_lines_behind_a_party_are_those_of_all_its_records(spark):
    tables = Tables(
        spark,
        """
        silver.parties_source
        customer_key | id_token | name_normal_token | valid_from
        core:1       | id1      | wang              | 2026-09-01
        life:7       | id1      | wang              | 2026-09-01
    """,
    )
    tables.run("silver.party_links", day=day_of(*MONTH))
    (row,) = tables.run("silver.parties", day=day_of(*MONTH)).collect()
    assert [(source.delivery_id, source.line) for source in row.sources] == [("D1", 1), ("D1", 2)]
