"""What a base says beyond the worked examples."""

from __future__ import annotations

import pytest

from jobs.contracts.kpi import Measure
from jobs.kpi import bases
from jobs.kpi.contributions import _rows
from tests.tables import Tables, day_of, kpi_definitions, shown


def test_two_records_of_one_person_make_one_new_customer(spark):
    tables = Tables(
        spark,
        """
        silver.party_links
        customer_key | party_id | valid_from
        c1           | c1       | 2026-01-01
        c2           | c1       | 2026-01-01
        silver.accounts
        account_id | customer_key | open_channel | opened_on  | legal_entity_id
        a1         | c1           | mobile       | 2026-09-02 | bank
        a2         | c2           | counter      | 2026-09-03 | bank
        a3         | c2           | web          | 2026-09-04 | life
    """,
    )
    rows = bases.accounts_opened(
        *[tables.read(f"silver.{t}") for t in ("accounts", "party_links", "ref_channels")],
        day_of("2026-09-01", "2026-09-30"),
    )
    assert shown(rows, "unit_id", "is_first_in_group", "is_first_at_entity", "is_online") == [
        ("a1", "true", "true", "true"),
        ("a3", "false", "true", "true"),
    ]


def test_an_account_of_before_the_run_keeps_its_owner_from_being_new(spark):
    tables = Tables(
        spark,
        """
        silver.accounts
        account_id | customer_key | open_channel | opened_on
        a0         | c1           | counter      | 2020-01-01
        a1         | c1           | mobile       | 2026-09-15
        a2         | c2           | mobile       | 2026-09-15
    """,
    )
    rows = bases.accounts_opened(
        *[tables.read(f"silver.{t}") for t in ("accounts", "party_links", "ref_channels")],
        day_of("2026-09-15"),
    )
    assert shown(rows, "unit_id", "business_date") == [("a2", "2026-09-15")]


def test_steps_of_earlier_days_count_with_the_process_that_ended_today(spark):
    tables = Tables(
        spark,
        """
        silver.process_instances
        process_instance_id | outcome  | business_date
        i1                  | approved | 2026-09-15
        silver.process_steps
        process_instance_id | step_no | channel | business_date
        i1                  | 1       | mobile  | 2026-09-13
        i1                  | 2       | counter | 2026-09-15
    """,
    )
    rows = bases.processes(
        *[tables.read(f"silver.{t}") for t in ("process_instances", "process_steps", "ref_channels")]
    )
    assert shown(rows, "unit_id", "steps", "online_steps") == [("i1", "2", "1")]


def test_every_definition_names_a_declared_base_and_its_grain_columns():
    for kpi in kpi_definitions().values():
        assert kpi.base in bases.BASES
        assert {column for grain in kpi.grains for column in grain} <= set(bases.GRAINS)
        assert kpi.headline in kpi.measures


def test_an_unknown_base_is_named_with_the_declared_ones():
    with pytest.raises(ValueError, match=r"KPI base nowhere is not declared.*valid_sales"):
        _rows("nowhere", {})


def test_a_new_kpi_is_one_definition(spark):
    share = Measure(numerator="int(is_out_of_hours)", denominator="1")
    new = kpi_definitions()["K4"].model_copy(update={"id": "K24", "measures": {"share": share}})
    tables = Tables(
        spark,
        """
        silver.transactions
        transaction_id | is_out_of_hours
        t1             | true
        t2             | false
    """,
    )
    day = day_of("2026-09-15", kpis=[new])
    tables.run("gold.kpi_contributions", day=day)
    made = tables.run("gold.kpi_values", day=day).where("period_kind = 'day' and legal_entity_id = 'bank'")
    assert shown(made, "kpi_id", "measure", "value") == [("K24", "share", "0.500000")]
