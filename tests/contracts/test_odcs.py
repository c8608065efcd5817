"""Contracts as ODCS and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs.contracts import ContractError, Table, load, odcs, profiles
from jobs.contracts.reading import typed
from jobs.contracts.yaml_file import read_yaml
from tests.contracts.house import build, change


def read_table(path: Path, text: str) -> Table:
    path.write_text(text, encoding="utf-8")
    return typed(read_yaml(path), Table)


@pytest.mark.parametrize("profile", profiles())
def test_every_contract_comes_back_equal(profile: str, tmp_path: Path) -> None:
    catalog = load(profile)
    written = odcs.export(catalog, tmp_path)
    assert [p.name for p in written] == [f"{address}.odcs.yaml" for address in catalog.tables]
    for path, (address, table) in zip(written, catalog.tables.items(), strict=True):
        text = odcs.import_(path, table.layer)
        back = read_table(tmp_path / "back.yaml", text)
        assert back == table, address
        assert list(back.columns) == list(table.columns), address
        comments = [line for line in text.splitlines()[1:] if line.startswith("#")]
        assert not comments, address


def exported(tmp_path: Path) -> Path:
    [path] = odcs.export(load("tiny", build(tmp_path / "house")), tmp_path, ["bronze.payments"])
    return path


def test_an_export_says_in_the_standards_words_what_the_standard_has_words_for(tmp_path: Path) -> None:
    document = yaml.safe_load(exported(tmp_path).read_text(encoding="utf-8"))
    assert document["apiVersion"] == "v3.1.0"
    assert "__verdict = 'accepted'" in document["description"]["usage"]
    assert "__canary" in document["description"]["usage"]
    [table] = document["schema"]
    assert (table["physicalName"], table["dataGranularityDescription"]) == ("bronze.payments", "one payment")
    key, _, amount = table["properties"]
    assert (key["primaryKey"], key["primaryKeyPosition"], key["required"]) == (True, 1, True)
    assert (amount["logicalType"], amount["physicalType"], amount["classification"]) == (
        "number",
        "decimal(18,2)",
        "C2/3",
    )
    assert table["quality"][0]["implementation"] == {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "amount", "min_value": 0},
    }
    assert [m["username"] for m in document["team"]["members"]] == ["branch accounting", "accounting"]


def test_a_misspelt_key_in_an_export_is_caught(tmp_path: Path) -> None:
    path = exported(tmp_path)
    lines = path.read_text(encoding="utf-8").replace("dataGranularityDescription:", "dataGranularityDescripton:")
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ContractError, match="dataGranularityDescripton") as error:
        odcs.import_(path, "bronze")
    assert error.value.mistakes[0].file == path
    assert error.value.mistakes[0].line > 1


def test_the_same_in_a_property_and_at_the_top(tmp_path: Path) -> None:
    for before, after in (("logicalType: number", "logicalTyp: number"), ("apiVersion:", "apiVersoin:")):
        path = exported(tmp_path / after[:8])
        path.write_text(path.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")
        with pytest.raises(ContractError, match=after.split(":")[0]):
            odcs.import_(path, "bronze")


FOREIGN = """\
apiVersion: v3.1.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
version: 2.1.0
status: active
tenant: Partner Bank
schema:
  - name: cardPayments
    physicalType: table
    description: Payments by card
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {type: text, description: looks plausible}
    properties:
      - name: paymentId
        logicalType: string
        required: true
        primaryKey: true
        primaryKeyPosition: 1
        classification: confidential
      - name: amount
        logicalType: number
        physicalType: DECIMAL(12,2)
        classification: C2/3
        logicalTypeOptions: {minimum: 0, multipleOf: 0.01}
        quality:
          - {metric: nullValues, mustBe: 0}
          - {metric: invalidValues, mustBeLessThan: 5}
      - {name: paid_on, logicalType: date, classification: C1/2, logicalTypeOptions: {format: yyyyMMdd}}
"""


def test_a_partners_file_becomes_a_contract_and_what_is_unknown_is_named(tmp_path: Path) -> None:
    path = tmp_path / "partner.odcs.yaml"
    path.write_text(FOREIGN, encoding="utf-8")
    text = odcs.import_(path, "bronze")
    table = read_table(tmp_path / "card_payments.yaml", text)
    assert table.table == "bronze.card_payments"
    assert {name: (c.type, c.required) for name, c in table.columns.items()} == {
        "payment_id": ("string", True),
        "amount": ("decimal(12,2)", False),
        "paid_on": ("date", False),
    }
    assert [(r.id, r.expectation) for r in table.rules] == [
        ("amount_not_null", "expect_column_values_to_not_be_null"),
        ("amount_range", "expect_column_values_to_be_between"),
        ("row_count", "expect_table_row_count_to_be_between"),
    ]
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for named in (
        "cardPayments is named card_payments here",
        "grain: the file does not say",
        "owner: the file does not say",
        "history: the file does not say",
        "paymentId says 'confidential'; C2/3 is a guess",
        "not taken over: amount, type option multipleOf = 0.01",
        "not taken over: quality check invalidValues of amount",
        "not taken over: quality check looks plausible of cardPayments",
        "not taken over: tenant",
    ):
        assert named in comments, comments


def test_two_tables_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        "apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: active\n"
        "schema:\n  - {name: a}\n  - {name: b}\n"
    )
    with pytest.raises(ContractError, match=r"2 objects under schema\. Split the file") as error:
        odcs.import_(path, "bronze")
    assert error.value.mistakes[0].line == 6


def test_a_table_without_a_contract_is_named(tmp_path: Path) -> None:
    catalog = load("tiny", build(tmp_path / "house"))
    with pytest.raises(ContractError, match=r"there is no contract of silver\.nothing\. Known: bronze\.clicks"):
        odcs.export(catalog, tmp_path, ["silver.nothing"])


def test_why_a_feed_changes_money_comes_back(tmp_path: Path) -> None:
    root = build(tmp_path / "house")
    change(
        root,
        "bronze/payments.yaml",
        "  silver.movements:\n",
        "  silver.movements:\n    changesMoney: fees are sent negative\n",
    )
    [path] = odcs.export(load("tiny", root), tmp_path, ["bronze.payments"])
    back = read_table(tmp_path / "back.yaml", odcs.import_(path, "bronze"))
    assert back.conforms["silver.movements"].changes_money == "fees are sent negative"
