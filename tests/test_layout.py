"""The name is the address: every silver and gold table has its contract, its module and its test, and they agree with
one another.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from jobs.contracts.model import INCOMING, PREVIOUS
from tests.tables import EXPECTATIONS, contract, module_of

ROOT = EXPECTATIONS.parent
ADDRESSES = sorted(
    f"{layer}.{path.stem}" for layer in ("silver", "gold") for path in (EXPECTATIONS / layer).glob("*.yaml")
)
LAYERS = ["bronze", "silver", "gold"]


def home(address: str) -> str:
    """`silver.sales` -> silver/sales; tables made elsewhere name their module: jobs.kpi.values -> kpi/values."""
    made_by = contract(address).made_by
    return made_by.removeprefix("jobs.").replace(".", "/") if made_by else address.replace(".", "/")


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_table_has_its_module_and_its_test(address):
    folder, _, name = home(address).rpartition("/")
    assert (ROOT / "jobs" / folder / f"{name}.py").exists(), (
        f"{address} needs jobs/{folder}/{name}.py, or madeBy in its contract"
    )
    assert (ROOT / "tests" / folder / f"test_{name}.py").exists(), f"{address} needs tests/{folder}/test_{name}.py"


@pytest.mark.parametrize("layer", ["silver", "gold"])
def test_a_module_has_its_contract(layer):
    modules = {path.stem for path in (ROOT / "jobs" / layer).glob("*.py")} - {"__init__"}
    assert modules <= {address.split(".")[1] for address in ADDRESSES if address.startswith(layer)}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_transform_takes_what_the_contract_reads(address):
    table = contract(address)
    parameters = list(inspect.signature(module_of(table).transform).parameters)
    assert [p for p in parameters if p != "day"] == [read.split(".")[-1] for read in table.reads]
    assert set(getattr(module_of(table), "READS", {})) <= set(table.reads)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_table_reads_nothing_of_a_later_layer_and_never_bronze(address):
    for read in contract(address).reads:
        if read not in (INCOMING, PREVIOUS):
            assert read in ADDRESSES, f"{address} reads {read}, which has no silver or gold contract"
            assert LAYERS.index(read.split(".")[0]) <= LAYERS.index(address.split(".")[0])


def test_no_tables_read_each_other_in_a_circle():
    open_tables = {address: {r for r in contract(address).reads if "." in r} for address in ADDRESSES}
    while open_tables:
        ready = {address for address, reads in open_tables.items() if not reads & open_tables.keys()}
        assert ready, f"these read each other in a circle: {', '.join(sorted(open_tables))}"
        open_tables = {a: r for a, r in open_tables.items() if a not in ready}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_contract_names_its_schema_for_editors(address):
    first = (
        (EXPECTATIONS / address.split(".")[0] / f"{address.split('.')[1]}.yaml")
        .read_text(encoding="utf-8")
        .splitlines()[0]
    )
    assert first == "# yaml-language-server: $schema=../contract.schema.json"


def test_silver_and_gold_import_only_spark_and_small_subject_modules():
    allowed = {"jobs.contracts.day", "jobs.history", "jobs.money", "jobs.calendars", "jobs.activity", "jobs"}
    for layer in ("silver", "gold"):
        for path in sorted(Path(ROOT / "jobs" / layer).glob("*.py")):
            imported = {
                line.split()[1]
                for line in path.read_text(encoding="utf-8").splitlines()
                if line.startswith(("from jobs", "import jobs"))
            }
            assert imported <= allowed, f"{path.name} imports {', '.join(sorted(imported - allowed))}"
