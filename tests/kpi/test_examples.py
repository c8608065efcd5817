"""The worked example of each KPI (kpis.md), through the real transforms: party_days -> contributions -> values."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jobs.contracts.day import Day
from tests.tables import Tables, day_of, kpi_definitions, parse

FROM, TO = "2026-09-01", "2026-09-30"

K1 = """
    silver.sales
    sale_id | channel_origin | channel_complete | amount | reverses_sale_id | business_date
    s1      | mobile         | mobile           | 100    |                  | 2026-09-03
    s2      | mobile         | counter          | 300    |                  | 2026-09-04
    s3      | counter        | counter          | 400    |                  | 2026-09-05
    s4      | web            | web              | 200    |                  | 2026-09-06
    s5      | web            | web              | 200    | s4               | 2026-10-02
"""
K2 = """
    silver.sales
    sale_id | party_id | channel_complete
    s1      | p1       | mobile
    s2      | p1       | counter
    s3      | p2       | counter
    s4      | p9       | mobile
    silver.transactions
    transaction_id | party_id
    t1 | p1
    t2 | p2
    t3 | p3
    t4 | p4
"""
K3 = """
    silver.process_instances
    process_instance_id | outcome
    i1 | approved
    i2 | rejected
    i3 | abandoned
    silver.process_steps
    process_instance_id | step_no | channel | actor
    i1 | 1 | mobile  | customer
    i1 | 2 |         | staff
    i2 | 1 | mobile  | customer
    i2 | 2 | counter | staff
    i3 | 1 | mobile  | customer
"""
K4 = """
    silver.transactions
    transaction_id | channel      | amount | initiator | status
    t1             | counter      | 500    | customer  | success
    t2             | self_service | 100    | customer  | success
    t3             | mobile       | 400    | customer  | success
    t4             | mobile       | 999    | customer  | failed
    t5             | web          | 7      | system    | success
"""
K5 = """
    silver.channel_events
    event_id | party_id | is_bot | is_meaningful
    e1 | p1 | false | true
    e2 | p1 | false | true
    e3 | p2 | true  | true
    e4 | p3 | false | false
    e5 | p4 | false | true
    silver.transactions
    transaction_id | party_id
    t1 | p1
    t2 | p2
"""
K7 = """
    silver.transactions
    transaction_id | party_id | channel | business_date
    t1 | p1 | mobile       | 2026-09-02
    t2 | p1 | self_service | 2026-09-03
    t3 | p2 | mobile       | 2026-09-04
    t4 | p2 | counter      | 2026-08-04
    t5 | p3 | counter      | 2026-02-04
"""
K8 = """
    silver.accounts
    account_id | party_id | open_channel | opened_on
    a1 | p1 | mobile  | 2026-09-02
    a2 | p1 | counter | 2026-09-20
    a3 | p2 | counter | 2026-09-03
    a4 | p3 | counter | 2024-01-01
    a5 | p3 | mobile  | 2026-09-05
"""
K34 = """
    silver.loans
    loan_id | balance | five_class
    n1 | 900 | normal
    n2 | 80  | special_mention
    n3 | 15  | doubtful
    n4 | 5   | loss
"""
EXAMPLES = [
    ("K1", K1, {"count_share": "0.3333", "amount_share": "0.125", "origin_count_share": "0.6667"}),
    ("K2", K2, {"of_active": "0.25", "of_buyers": "0.6667"}),
    ("K3", K3, {"instance_share": "0.5", "step_share": "0.6667"}),
    ("K4", K4, {"count_share": "0.6667", "amount_share": "0.5"}),
    ("K5", K5, {"mau": "2", "rate": "0.5"}),
    ("K7", K7, {"share": "0.3333"}),
    ("K8", K8, {"share": "0.5"}),
    ("K34", K34, {"ratio": "0.02"}),
]


def reversals_of(text: str) -> str:
    """The reversals of an example's sales and movements, as their feeds tell them: with the original's id and day."""
    told = []
    for table, kind, key in (
        ("silver.sales", "sale", "sale_id"),
        ("silver.transactions", "transaction", "transaction_id"),
    ):
        rows = parse(text).get(table, [])
        originals = {row[key]: row for row in rows}
        for row in rows:
            original = originals.get(row.get(f"reverses_{key}"))
            if original:
                told.append(
                    f"{kind} | {original[key]} | {original['business_date']} | {row['business_date']} | {row['amount']}"
                )
    header = "silver.reversals\nkind | original_id | original_business_date | business_date | amount\n"
    return header + "\n".join(told) if told else ""


def totals(tables: Tables, day: Day, kind: str = "month") -> dict[str, dict[str, Decimal | None]]:
    """KPI -> measure -> value, of the totals."""
    tables.run("gold.party_days", day=day_of("2020-01-01", TO))
    tables.run("gold.kpi_contributions", day=day)
    values = tables.run("gold.kpi_values", day=day)
    total = "legal_entity_id is null and business_line is null and province_code is null and branch_id is null"
    found: dict[str, dict[str, Decimal | None]] = {}
    for row in values.where(f"period_kind = '{kind}' and {total}").collect():
        measures = found.setdefault(row.kpi_id, {})
        assert row.measure not in measures, "one total a measure"
        measures[row.measure] = row.value
    return found


@pytest.mark.parametrize(("kpi", "text", "expected"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_the_worked_example(spark, kpi, text, expected):
    day = day_of(FROM, TO, kpis=[kpi_definitions()[kpi]])
    found = totals(Tables(spark, text + reversals_of(text)), day)[kpi]
    assert {name: found[name].quantize(Decimal("0.0001")) for name in expected} == {
        n: Decimal(v).quantize(Decimal("0.0001")) for n, v in expected.items()
    }


def test_without_any_row_a_ratio_is_null_and_a_count_0(spark):
    found = totals(Tables(spark), day_of(FROM, TO))
    assert found.keys() == kpi_definitions().keys()
    assert found.pop("K5") == {"mau": Decimal(0), "rate": None}
    assert {value for measures in found.values() for value in measures.values()} == {None}
