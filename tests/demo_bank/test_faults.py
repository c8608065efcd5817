"""Each fault spoils what it says, and nothing else; the key knows what must count."""

from __future__ import annotations

import gzip
import hashlib
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.demo_bank import DemoBank, Sent, answer_key
from jobs.demo_bank.faults import CAN, KINDS
from jobs.demo_bank.faults.tables import TABLES
from jobs.demo_bank.feeds import ARCHIVES, FEEDS

# Those that one day can have at once.
ALL = ["F01", "F04", "F11", "F12", "F14", "F17", "F19", "F20", "F23", "F25", "F30", "F37", "F75"]


def files_of(bank: DemoBank, *faults: str, day: date | None = None) -> dict[str, list[Sent]]:
    found: dict[str, list[Sent]] = {}
    for sent in bank.day_files(day or bank.first_live_day, faults):
        found.setdefault(f"{sent.feed}|{sent.entity}", []).append(sent)
    return found


def changed(bank: DemoBank, *faults: str, day: date | None = None) -> set[str]:
    """Lanes whose files differ from a clean day's."""
    clean, spoilt = files_of(bank, day=day), files_of(bank, *faults, day=day)
    lanes = clean.keys() | spoilt.keys()
    return {
        x
        for x in lanes
        if [(s.data, s.signal) for s in clean.get(x, [])] != [(s.data, s.signal) for s in spoilt.get(x, [])]
    }


def day_of(bank: DemoBank, fault: str) -> date:
    """The day on which `all` commits it."""
    return bank.first_live_day + timedelta(days=KINDS[fault].day)


# Those whose file is the same, and comes in another way or on another day.
OF_TIME = {"F15": "signal_first", "F16": "growing", "F21": "late", "F22": "late"}
OF_FILES = [f for f in KINDS if f in CAN and KINDS[f].feeds and f not in {*OF_TIME, *TABLES}]
# A member is seen in its archive.
ARCHIVE_OF = {"core_products": "core_params", "core_branches": "core_params"}


def test_the_catalogue_is_whole() -> None:
    assert list(KINDS) == [f"F{n:02d}" for n in range(1, 81)]
    assert len({kind.name for kind in KINDS.values()}) == 80


@pytest.mark.parametrize("fault", OF_FILES)
def test_a_fault_touches_its_own_lanes_only(small_bank: DemoBank, fault: str) -> None:
    kind = KINDS[fault]
    lanes = {f"{ARCHIVE_OF.get(feed, feed)}|{entity}" for feed in kind.feeds for entity in kind.entities}
    assert changed(small_bank, fault, day=day_of(small_bank, fault)) == lanes


@pytest.mark.parametrize("fault", OF_TIME)
def test_a_fault_of_time_changes_no_byte(small_bank: DemoBank, fault: str) -> None:
    day = day_of(small_bank, fault)
    assert changed(small_bank, fault, day=day) == set()
    [sent] = [s for s in small_bank.day_files(day, [fault]) if s.fault]
    assert OF_TIME[fault] == ("late" if sent.comes else sent.way)
    assert (sent.feed, sent.entity, sent.comes) == (*KINDS[fault].feeds, *KINDS[fault].entities, KINDS[fault].comes)


@pytest.mark.parametrize("fault", ["F46", "F74", "F75", *TABLES])
def test_what_happens_to_processes_days_and_tables_is_no_matter_of_files(small_bank: DemoBank, fault: str) -> None:
    assert changed(small_bank, fault) == set()


def test_all_is_spread_over_days_so_that_no_two_faults_spoil_one_file() -> None:
    bank = DemoBank(seed=7, scale="XS")
    days = bank.spread(bank.first_live_day)
    committed = [fault for faults in days.values() for fault in faults]
    assert len(committed) == len(set(committed))
    assert set(committed) == CAN - {f for f in CAN - set(TABLES) if not set(KINDS[f].feeds) <= {*FEEDS, *ARCHIVES}}
    assert days[date(2026, 9, 20)] == ["F46"]  # a Sunday on which banks work
    planned = {day: bank.plan(day, faults) for day, faults in days.items()}  # raises where two would meet
    assert {c.fault for plan in planned.values() for c in plan.caught} == set(committed)
    again = DemoBank(seed=7, scale="XS")
    assert {day: again.plan(day, faults).caught for day, faults in days.items()} == {
        day: plan.caught for day, plan in planned.items()
    }


def test_a_growing_file_is_half_there_and_then_whole_under_one_signal(small_bank: DemoBank, tmp_path: Path) -> None:
    [sent] = [s for s in small_bank.day_files(small_bank.first_live_day, ["F16"]) if s.fault]
    file = tmp_path / sent.path
    sent.begin(tmp_path)
    signal = Path(f"{file}.ok").read_text(encoding="utf-8")
    assert file.read_bytes() == sent.data[: len(sent.data) // 2]
    sent.finish(tmp_path)
    assert file.read_bytes() == sent.data and hashlib.sha256(sent.data).hexdigest() in signal


def test_a_signal_comes_before_its_file(small_bank: DemoBank, tmp_path: Path) -> None:
    [sent] = [s for s in small_bank.day_files(small_bank.first_live_day, ["F15"]) if s.fault]
    sent.begin(tmp_path)
    assert not (tmp_path / sent.path).exists() and Path(f"{tmp_path / sent.path}.ok").exists()


def test_a_reversal_of_the_same_day_leaves_the_figures_as_they_are(small_bank: DemoBank) -> None:
    day = small_bank.first_live_day
    clean, undone = answer_key(small_bank, day), answer_key(small_bank, day, ["F38"])
    assert undone["kpis"]["K4"] == clean["kpis"]["K4"]
    rows = [key["tables"]["silver.transactions"]["rows"] for key in (clean, undone)]
    assert rows[1] - rows[0] == 2


def test_a_volume_that_drops_is_told_by_what_came(small_bank: DemoBank) -> None:
    day = day_of(small_bank, "F63")
    [clean] = [s for s in small_bank.day_files(day) if (s.feed, s.entity) == ("core_transactions", "b02")]
    [short] = [s for s in small_bank.day_files(day, ["F63"]) if (s.feed, s.entity) == ("core_transactions", "b02")]
    assert abs(short.rows - clean.rows * 0.4) <= 1
    [caught] = small_bank.plan(day, ["F63"]).caught
    assert caught.rows == clean.rows - short.rows


def test_fen_for_yuan_is_a_hundred_times_what_the_trailer_says(small_bank: DemoBank) -> None:
    [sent] = files_of(small_bank, "F73")["core_balances|b03"]
    _, *lines, trailer = sent.data.splitlines()
    told = sum(Decimal(line[60:78].decode()) for line in lines) / 100
    assert told == 100 * Decimal(trailer.decode().split("|")[2])


def test_a_bad_byte_does_not_decode(small_bank: DemoBank) -> None:
    (sent,) = files_of(small_bank, "F01")["core_customers|b02"]
    with pytest.raises(UnicodeDecodeError):
        sent.data.decode("gb18030")


def test_trailers_are_off_by_one(small_bank: DemoBank) -> None:
    day = files_of(small_bank, "F11", "F12")
    (count,), (money,) = day["core_transactions|b03"], day["core_transactions|b04"]
    stated = gzip.decompress(count.data).decode("gb18030").splitlines()[-1].split("\x1b")
    assert int(stated[1]) == count.rows + 1
    stated = gzip.decompress(money.data).decode("gb18030").splitlines()[-1].split("\x1b")
    assert Decimal(stated[2]) * 100 == (money.money or 0) + 1


def test_a_correction_brings_the_truth_under_the_same_name(small_bank: DemoBank) -> None:
    wrong, right = files_of(small_bank, "F19")["core_transactions|b02"]
    (clean,) = files_of(small_bank)["core_transactions|b02"]
    assert right.data == clean.data and right.path == wrong.path and right.replaces == wrong.file_name
    assert (wrong.money or 0) - (right.money or 0) == 3 * 1_000


def test_a_repeat_has_another_name_and_equal_bytes(small_bank: DemoBank) -> None:
    first, repeat = files_of(small_bank, "F20")["core_accounts|b01"]
    assert first.data == repeat.data and first.path != repeat.path and repeat.signal
    assert hashlib.sha256(repeat.data).hexdigest() in repeat.signal


def test_yesterdays_rows_come_under_todays_name(small_bank: DemoBank) -> None:
    (sent,) = files_of(small_bank, "F25")["core_customers|b01"]
    header, *rows = sent.data.decode("gb18030").splitlines()[:-1]
    assert header.split("|+|")[3] == "20260915"
    assert rows and {row.split("|+|")[-1] for row in rows} == {"20260914"}


def test_the_key_of_a_faulty_day_leaves_out_what_must_not_count(small_bank: DemoBank) -> None:
    day = small_bank.first_live_day
    clean, faulty = answer_key(small_bank, day), answer_key(small_bank, day, ALL)
    rows = {name: told["feeds"]["core_transactions"] for name, told in (("clean", clean), ("faulty", faulty))}
    assert {e: lane["state"] for e, lane in rows["faulty"].items()} == {
        "b01": "partly_loaded", "b02": "loaded", "b03": "refused", "b04": "refused", "b05": "missing", "b06": "missing",
    }  # fmt: skip
    first = rows["faulty"]["b01"]
    # Two rows more than true; three of unknown type and a differing pair rejected; one equal copy.
    assert first["received_rows"] == rows["clean"]["b01"]["received_rows"] + 2
    assert (first["rejected_rows"], first["duplicate_rows"]) == (5, 1)
    assert first["accepted_rows"] == rows["clean"]["b01"]["accepted_rows"] - 4
    parts = sum(first[f"{part}_money"] for part in ("accepted", "rejected", "duplicate"))
    assert parts == first["received_money"]
    counted = first["accepted_rows"] + rows["faulty"]["b02"]["accepted_rows"]
    assert faulty["tables"]["silver.transactions"]["rows"] == counted
    assert "core_accounts|b03|2026-09-15" in faulty["missing"]
    assert {c.fault for c in faulty["caught"]} == set(ALL)


def test_received_money_is_what_the_file_states(small_bank: DemoBank) -> None:
    (sent,) = files_of(small_bank, "F30", "F37")["core_transactions|b01"]
    lane = answer_key(small_bank, small_bank.first_live_day, ["F30", "F37"])["feeds"]["core_transactions"]["b01"]
    assert (lane["received_rows"], lane["received_money"] * 100) == (sent.rows, sent.money)


def test_a_resend_leads_to_the_clean_answers(small_bank: DemoBank) -> None:
    day = small_bank.first_live_day
    clean, resent = answer_key(small_bank, day), answer_key(small_bank, day, ["F19", "F20"])
    assert resent["kpis"] == clean["kpis"] and resent["tables"] == clean["tables"]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["F99"], "cannot commit F99"),
        (["F30:core_customers:b01"], "needs movements"),
        (["F11:core_transactions:b03", "F12:core_transactions:b03"], "both spoil the file"),
        (["F01:app_events:app"], "happens to a branch's file"),
    ],
)
def test_faults_that_cannot_be_are_refused(small_bank: DemoBank, faults: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(small_bank.day_files(small_bank.first_live_day, faults))


def test_the_page_of_faults_tells_the_catalogue() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if re.match(r"\| F\d\d ", line)]
    words = {"not_built": "not built yet"}
    told = {
        fault.strip(): (name.strip(), control.strip(), expected.strip())
        for fault, name, _, control, expected, *_ in rows
    }
    assert told == {f: (k.name, k.control, words.get(k.outcome, k.outcome)) for f, k in KINDS.items()}
