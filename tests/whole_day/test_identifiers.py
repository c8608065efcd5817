"""No clear identifier outside the vault and the raw files; and whoever leaves one is found out.

The whole-day story leaves everything that the platform writes: all of it is searched. That the search sees is shown
three times: it finds all of the bank's identifiers in the originals (the raw files, opened), it finds them in every form
that a file or a table may have, and it names the column when an `identifies:` is taken out of a contract.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from jobs.arrival.folder import Folder
from jobs.arrival.land import land
from jobs.contracts import load
from jobs.demo_bank import DemoBank
from jobs.ledger import Ledger
from jobs.privacy.keys import load_keys
from jobs.privacy.seal import open_sealed
from jobs.settings import Settings, settings
from tests.whole_day.conftest import Story
from tests.whole_day.identifiers import (
    LZ4_BLOCK,
    Search,
    Wanted,
    find,
    folded,
    identifiers_of,
    marked,
    told,
    told_in_columns,
)

MARKED = [
    ("app_events", "device_id", "device"),
    ("card_transactions", "card_no", "card"),
    ("core_customers", "id_number", "id_number"),
    ("core_customers", "name", "name"),
    ("core_customers", "phone", "phone"),
    ("core_legacy", "holder", "name"),
]
PEOPLE = {
    "id_number": {"99110119900307123X", "91990000MA0000001A"},
    "name": {"张三", "欧阳建国", "青山1号贸易有限公司", "阿依古丽·买买提"},
    "phone": {"13900000001"},
    "device": {"0123456789ABCDEF0123456789ABCDEF"},
}
VALUES = sorted(set().union(*PEOPLE.values()))
LINES = "".join(f"customer: {value};\n" for value in VALUES)


# --- after the whole-day story ----------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_story_leaves_no_clear_identifier_outside_vault_and_raw_files(story: Story, services_up: Path) -> None:
    if not any(story.faults.values()):
        # Alone, without the days of the other tests: files that are refused leave more behind than those that are taken.
        story.run("F01", "F11", "F17", "F25", "F30", "F37")
    wanted = Wanted(identifiers_of(story.sender, story.bank.catalog))

    originals = Search(wanted)
    keys = load_keys()
    for sealed in sorted((story.bank.home / "raw").glob("*/*.sealed")):
        with open_sealed(sealed, keys) as clear:
            originals.data(sealed.name, clear.read())
    for kind, values in told(story.sender, story.bank.catalog, story.sender.history_end).items():
        assert values, kind
        missed = {folded(value) for value in values} - originals.found
        assert not missed, (
            f"the search does not see {len(missed)} of {len(values)} identifiers ({kind}) in the raw files"
        )

    search = find(services_up, settings(), wanted)
    assert search.findings == []
    for form in ("parquet", ".json", ".html", ".log", "sealed"):
        assert search.files[form] > 0, (form, search.files)
    profile = story.bank.profile
    tables = [f"ledgerlake.{profile}_{t}" for t in ("ledger.deliveries", "ledger.cases", "ledger.gate_results", "vault.tokens")]  # fmt: skip
    tables += [f"ledgerlake.{profile}_mart.{t.name}" for t in story.bank.catalog.tables.values() if t.mart is not None]
    tables += [f"airflow.public.{t}" for t in ("xcom", "rendered_task_instance_fields", "task_instance", "log")]
    for place in [*tables, "id_number_token", "name_token", "statistics"]:
        assert search.cells[place] > 0, place


# --- the control run --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoBank, Path]:
    """The demo bank's history, and the files in which it was told."""
    folder = tmp_path_factory.mktemp("history")
    sender = DemoBank(seed=1, scale="XS")
    sender.take_on(folder)
    return sender, folder


@pytest.fixture
def landed(
    installation: Path, new_ledger: Callable[[], Ledger], postgres: Settings, history: tuple[DemoBank, Path]
) -> Callable[..., Search]:  # fmt: skip
    """Lands the files of some feeds under the contracts of a folder, and searches what that left."""

    def land_and_search(contracts: Path, *feeds: str) -> Search:
        (sender, files), ledger = history, new_ledger()
        catalog = load("demo", contracts)
        catalog = replace(catalog, profile=catalog.profile.model_copy(update={"profile": ledger.profile}))
        inbox = settings().bank(ledger.profile) / "inbox"
        for feed in feeds:
            shutil.copytree(files / feed, inbox / feed)
        states = {one.state for one in land(catalog, ledger, Folder(inbox), "run-1", settle_seconds=0.0)}
        assert states == {"verified"}
        wanted = Wanted(identifiers_of(sender, load("demo")))
        search = find(installation, postgres, wanted, databases=["ledgerlake"], schemas=rf"{ledger.profile}\_%")
        assert search.files["parquet"] == search.files["sealed"] == len(feeds)
        assert search.cells[f"ledgerlake.{ledger.profile}_ledger.deliveries"] > 0
        return search

    return land_and_search


def test_the_contracts_mark_what_the_control_run_takes_out() -> None:
    assert marked(load("demo")) == MARKED


def test_what_lands_under_the_contracts_is_clean(landed: Callable[..., Search]) -> None:
    search = landed(settings().expectations, *{feed for feed, _, _ in MARKED})
    assert search.findings == []
    assert any(place.endswith("_vault.tokens") and count for place, count in search.cells.items())


@pytest.mark.parametrize(("feed", "column", "kind"), MARKED)
def test_a_column_without_its_mark_is_found_out(
    feed: str, column: str, kind: str, landed: Callable[..., Search], history: tuple[DemoBank, Path], tmp_path: Path
) -> None:
    contracts = tmp_path / "expectations"
    shutil.copytree(settings().expectations, contracts)
    contract = contracts / "bronze" / f"{feed}.yaml"
    mark = rf"(?m)(^  {column}: .*?)identifies: {kind}, (?:derive: \[.*?\], )?"
    changed, times = re.subn(mark, r"\1", contract.read_text())
    assert times == 1
    # Whoever does so also has to do without what the mark gave: rules about it go, expressions take the column itself.
    changed = re.sub(rf"(?m)^  - .*\b{column}_\w+\b.*\n", "", changed)
    contract.write_text(re.sub(rf"(?<=: )({column})_\w+$", r"\1", changed, flags=re.MULTILINE))

    search = landed(contracts, feed)
    assert {(f.where, f.kind) for f in search.findings} == {(column, kind)}
    assert all(f"/rows/{feed}/" in f.place for f in search.findings)
    sender, _ = history
    clear = {folded(v) for v in told_in_columns(sender, load("demo"), sender.history_end)[feed, column, kind]}
    assert search.found == clear
    samples = " ".join(f.sample for f in search.findings)
    assert not any(value in samples for value in clear)


# --- the search itself ------------------------------------------------------------------------------------------------


def _xlsx() -> bytes:
    """As far as the search is concerned: XML in a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sharedStrings.xml", "".join(f"<si><t>{value}</t></si>" for value in VALUES))
    return out.getvalue()


def _parquet(column: pa.Array, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"c": column}), out, **options)
    return out.getvalue()


def _spark_scratch() -> bytes:
    clear = LINES.encode()
    packed = pa.Codec("lz4_raw").compress(clear, asbytes=True)
    ends = LZ4_BLOCK.pack(b"LZ4Block", 0x15, 0, 0, 0)
    return (LZ4_BLOCK.pack(b"LZ4Block", 0x25, len(packed), len(clear), 0) + packed + ends) * 2


def _delta_log() -> bytes:
    """Statistics are JSON within JSON."""
    lines = [json.dumps({"add": {"stats": json.dumps({"maxValues": {"c": value}})}}) for value in VALUES]
    return "\n".join(lines).encode()


FORMS: dict[str, Callable[[], bytes]] = {
    "utf-8": lambda: LINES.encode(),
    "gb18030": lambda: LINES.encode("gb18030"),
    "full width": lambda: LINES.translate({c: c + 0xFEE0 for c in range(ord("0"), ord("Z") + 1)}).encode(),
    "among other bytes": lambda: b"\xff\xfe\x00" + LINES.encode() + b"\xff",
    "gzip": lambda: gzip.compress(LINES.encode("gb18030")),
    "zlib": lambda: zlib.compress(LINES.encode()),
    "xlsx": _xlsx,
    "json": lambda: json.dumps(VALUES).encode(),
    "delta log": _delta_log,
    "html": lambda: html.escape(LINES).encode("ascii", "xmlcharrefreplace"),
    "address": lambda: quote(LINES).encode(),
    "python bytes": lambda: "\n".join(repr(value.encode()) for value in VALUES).encode(),
    "parquet": lambda: _parquet(pa.array(VALUES), write_statistics=False),
    "parquet, nested": lambda: _parquet(pa.array([{"m": [{"k": v} for v in VALUES]}])),
    "parquet, map": lambda: _parquet(pa.array([[(v, 1) for v in VALUES]], pa.map_(pa.string(), pa.int32()))),
    "parquet, dictionary": lambda: _parquet(pa.array(VALUES).dictionary_encode()),
    "parquet, packed bytes": lambda: _parquet(pa.array([gzip.compress(LINES.encode())])),
    "spark's scratch": _spark_scratch,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_search_sees_every_form(form: str) -> None:
    search = Search(Wanted(PEOPLE))
    search.data("a file", FORMS[form]())
    assert search.found == set(VALUES)
    assert {f.kind for f in search.findings} == set(PEOPLE)
    assert not any(value in str(f) for f in search.findings for value in VALUES)


def test_the_search_sees_statistics() -> None:
    for value in VALUES:
        search = Search(Wanted(PEOPLE))
        search.data("a file", _parquet(pa.array([value])))
        assert [f.where for f in search.findings] == ["c", "statistics of c", "statistics of c"]


def test_the_search_sees_every_type_of_a_table(
    new_ledger: Callable[[], Ledger],
    postgres: Settings,
    tmp_path: Path,
) -> None:
    ledger = new_ledger()
    with ledger.begin() as db:
        db.execute(text(f"create table {ledger.schema}.noted (t text, j json, b jsonb, a text[], d bytea)"))
        escaped = json.dumps(VALUES)
        row = {"t": LINES, "j": escaped, "b": escaped, "a": VALUES, "d": gzip.compress(LINES.encode())}
        db.execute(text(f"insert into {ledger.schema}.noted values (:t, cast(:j as json), cast(:b as jsonb), :a, :d)"), row)  # fmt: skip
    search = find(tmp_path, postgres, Wanted(PEOPLE), databases=["ledgerlake"], schemas=ledger.schema)
    place = f"ledgerlake.{ledger.schema}.noted"
    assert {(f.where, f.kind) for f in search.findings if f.place.startswith(place)} == {
        (column, kind) for column in "tjbad" for kind in PEOPLE
    }


def test_short_identifiers_are_not_seen_in_longer_words() -> None:
    search = Search(Wanted(PEOPLE))
    search.data("a file", "account 6217139000000011234, amount 113900000001, street 张三街, ****0001".encode())
    assert search.findings == []
    search.data("a file", "phones\n+8613900000001 x13900000001, name:张三。".encode())
    assert [(f.where, f.kind, f.count) for f in search.findings] == [("line 2", "phone", 1), ("line 2", "name", 1)]


def test_an_identifier_that_could_not_be_seen_is_told() -> None:
    with pytest.raises(ValueError, match="would not be found"):
        Wanted({"email": {"a@b.cn"}})


def test_normal_forms_are_looked_for_too() -> None:
    wanted = identifiers_of(DemoBank(seed=1, scale="XS"), load("demo"))
    assert {kind for _, _, kind in MARKED} == set(wanted)
    assert any(value.startswith("+86") for value in wanted["phone"])
    assert any("·" in value and value.replace("·", "") in wanted["name"] for value in wanted["name"])
