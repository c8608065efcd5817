"""The JSON Schemas that editors use say what the models say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from jobs.contracts import schemas
from jobs.contracts.yaml_file import read_yaml
from jobs.settings import settings
from tests.contracts.house import build

EXPECTATIONS = settings().expectations
# Files of a kind, and where their schema stands as seen from them.
KINDS = {
    "contract": (["bronze/*.yaml", "silver/*.yaml", "gold/*.yaml"], "../contract.schema.json"),
    "source": (["sources/*/*.yaml"], "../../source.schema.json"),
    "kpi": (["kpis/*.yaml"], "../kpi.schema.json"),
    "reference": (["reference/*.yaml"], "../reference.schema.json"),
    "profile": (["profiles/*.yaml"], "../profile.schema.json"),
}
SHIPPED = [
    (kind, path) for kind, (globs, _) in KINDS.items() for glob in globs for path in sorted(EXPECTATIONS.glob(glob))
]


def validator(kind: str) -> Draft7Validator:
    schema = schemas.schema_of(kind)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def named(path: Path) -> str:
    return str(path.relative_to(EXPECTATIONS))


@pytest.mark.parametrize(("kind", "path"), SHIPPED, ids=[named(path) for _, path in SHIPPED])
def test_every_shipped_file_passes_its_schema_and_names_it(kind: str, path: Path) -> None:
    wrong = [f"{error.json_path}: {error.message}" for error in validator(kind).iter_errors(read_yaml(path).data)]
    assert not wrong
    assert path.read_text(encoding="utf-8").splitlines()[0] == f"# yaml-language-server: $schema={KINDS[kind][1]}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_what_the_models_say(kind: str, tmp_path: Path) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in schemas.write_schemas(tmp_path)}
    name = f"{kind}.schema.json"
    assert (EXPECTATIONS / name).read_text(encoding="utf-8") == written[name], "run `ledgerlake contracts schema`"


@pytest.fixture
def payments(tmp_path: Path) -> dict[str, Any]:
    return read_yaml(build(tmp_path) / "bronze/payments.yaml").data


@pytest.mark.parametrize(
    ("feed", "change"),
    [
        ("complaints", lambda s: s.update(format={"kind": "json_lines"})),
        ("complaints", lambda s: s.update(files={"pattern": "{entity}_{date}"})),
        ("complaints", lambda s: s.pop("pull")),
        ("complaints", lambda s: s["pull"].pop("slot")),
        ("core_accounts", lambda s: s.pop("format")),
        ("core_accounts", lambda s: s.pop("files")),
    ],
)
def test_a_source_is_fetched_or_says_how_its_files_are_read(feed: str, change: Any) -> None:
    source = read_yaml(EXPECTATIONS / "sources" / "demo" / f"{feed}.yaml").data
    assert validator("source").is_valid(source)
    change(source)
    assert not validator("source").is_valid(source)


def refused(contract: dict[str, Any]) -> bool:
    return not validator("contract").is_valid(contract)


def test_the_tiny_contract_passes(payments: dict[str, Any]) -> None:
    assert not refused(payments)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("a misspelt key", lambda c: c.update(histroy="fact")),
        ("a misspelt option of a column", lambda c: c["columns"]["amount"][1].update(unti="CNY")),
        ("a column without classification", lambda c: c["columns"]["amount"][1].pop("classification")),
        ("a float", lambda c: c["columns"]["amount"].__setitem__(0, "float!")),
        (
            "a column name that is not snake_case",
            lambda c: c["columns"].update(payMent=["string", {"classification": "C1/1"}]),
        ),
        ("an enum that is no list", lambda c: c["columns"]["direction"][1].update(enum="directions")),
        ("an unknown expectation", lambda c: c["rules"].append({"id": "x", "onFail": "warn", "expect_good": {}})),
        (
            "two expectations in one rule",
            lambda c: c["rules"][0].update(expect_column_values_to_not_be_null={"column": "amount"}),
        ),
        ("a rule without an expectation", lambda c: c["rules"].append({"id": "x", "onFail": "warn"})),
        ("a misspelt kwarg", lambda c: c["rules"][1].update(expect_table_row_count_to_be_between={"min_valu": 1})),
        ("a rule without a bound", lambda c: c["rules"][1].update(expect_table_row_count_to_be_between={})),
        ("a table rule that quarantines", lambda c: c["rules"][1].update(onFail="quarantine")),
        ("the name of the Python field", lambda c: c.update(primary_key=c.pop("primaryKey"))),
    ],
)
def test_the_schema_refuses(payments: dict[str, Any], words: str, change: Any) -> None:
    contract = copy.deepcopy(payments)
    change(contract)
    assert refused(contract), words
