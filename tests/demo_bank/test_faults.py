"""Each fault spoils what it says, and nothing else; the key knows what must count."""

from __future__ import annotations

import gzip
import hashlib
from decimal import Decimal

import pytest

from jobs.demo_bank import DemoBank, Sent, answer_key
from jobs.demo_bank.faults import KINDS

# Those that one day can have at once.
ALL = ["F01", "F04", "F11", "F12", "F14", "F17", "F19", "F20", "F23", "F25", "F30", "F37", "F75"]


def files_of(bank: DemoBank, *faults: str) -> dict[str, list[Sent]]:
    found: dict[str, list[Sent]] = {}
    for sent in bank.day_files(bank.first_live_day, faults):
        found.setdefault(f"{sent.feed}|{sent.entity}", []).append(sent)
    return found


def changed(bank: DemoBank, *faults: str) -> set[str]:
    """Lanes whose files differ from a clean day's."""
    clean, spoilt = files_of(bank), files_of(bank, *faults)
    lanes = clean.keys() | spoilt.keys()
    return {
        x
        for x in lanes
        if [(s.data, s.signal) for s in clean.get(x, [])] != [(s.data, s.signal) for s in spoilt.get(x, [])]
    }


@pytest.mark.parametrize("fault", [f for f in ALL if f != "F75"])
def test_a_fault_touches_its_own_lanes_only(small_bank: DemoBank, fault: str) -> None:
    kind = KINDS[fault]
    assert changed(small_bank, fault) == {f"{feed}|{entity}" for feed in kind.feeds for entity in kind.entities}


def test_two_runs_at_once_is_no_matter_of_files(small_bank: DemoBank) -> None:
    assert changed(small_bank, "F75") == set()


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
