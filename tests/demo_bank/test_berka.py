"""The real bank: its lines are sent as they are found, and the known answers of the data set come out."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.contracts import load
from jobs.demo_bank import Berka
from jobs.demo_bank.berka import day_of


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="ascii", newline="") as lines:
        return list(csv.DictReader(lines, delimiter=";"))


@pytest.fixture(scope="module")
def bank(berka_folder: Path) -> Berka:
    return Berka(berka_folder)


def test_every_calendar_day_is_there(bank: Berka) -> None:
    assert (bank.days[0], bank.days[-1], len(bank.days)) == (date(1993, 1, 1), date(1994, 3, 30), 454)


def test_all_lines_of_the_original_are_sent_once_and_unchanged(bank: Berka, berka_folder: Path) -> None:
    raw = (berka_folder / "trans_complete_days_19930101_19940330.asc").read_bytes().splitlines(keepends=True)
    sent = [s for day in bank.days[1:] for s in bank.day_files(day) if s.feed == "berka_trans"]
    taken_on = next(f for f in bank._files if f.part.feed == "berka_trans").told(bank.history_end, is_first=True)
    lines = taken_on + [line for s in sent for line in s.data.splitlines(keepends=True)[1:]]
    assert lines == raw[1:] and len(lines) == 46_997
    assert all(s.data.startswith(raw[0]) and raw[0].endswith(b"\r\n") for s in sent)


def test_money_of_a_day_is_the_sum_of_its_lines(bank: Berka) -> None:
    sent = next(s for s in bank.day_files(date(1993, 7, 20)) if s.feed == "berka_trans")
    amounts = [Decimal(line.split(";")[5]) for line in sent.data.decode().splitlines()[1:]]
    assert (sent.rows, sent.money) == (35, int(sum(amounts) * 100))


def test_the_first_day_is_taken_on_with_what_is_sent_once(bank: Berka, tmp_path: Path) -> None:
    paths = bank.take_on(tmp_path)
    assert {p.parent.parent.parent.name for p in paths} == set(load("berka").sources)
    counts = {p.parent.parent.parent.name: int(Path(f"{p}.ok").read_text().split("|")[1]) for p in paths}
    assert counts == {
        "ref_channels": 8,
        "berka_district": 77,
        "berka_client": 5_369,
        "berka_disp": 5_369,
        "berka_order": 6_471,
        "berka_account": 4,
        "berka_loan": 0,
        "berka_card": 0,
        "berka_trans": 4,
    }


def test_file_names_are_those_that_the_sources_promise(bank: Berka) -> None:
    catalog = load("berka")
    for sent in bank.day_files(bank.days[300]):
        assert catalog.sources[sent.feed].conforms_to_name(sent.file_name), sent.file_name


def test_every_value_of_a_listed_column_is_in_its_list(bank: Berka, berka_folder: Path) -> None:
    """The undocumented VYBER is declared; so are all modes, states and kinds that occur."""
    catalog = load("berka")
    for feed, file, columns in (
        ("berka_trans", "trans_complete_days_19930101_19940330.asc", {"type": "type"}),
        ("berka_loan", "loan.asc", {"status": "status"}),
        ("berka_disp", "disp.asc", {"type": "type"}),
        ("berka_card", "card.asc", {"type": "type"}),
        ("berka_account", "account.asc", {"frequency": "frequency"}),
    ):
        told = rows(berka_folder, file)
        for column, field in columns.items():
            allowed = catalog.resolve(catalog.bronze(feed).columns[column].enum)
            assert {r[field] for r in told} <= set(allowed)
    assert Counter(r["type"] for r in rows(berka_folder, "trans_complete_days_19930101_19940330.asc"))["VYBER"] == 646


def test_known_answers_of_the_data_set(berka_folder: Path) -> None:
    loans, dispositions = rows(berka_folder, "loan.asc"), rows(berka_folder, "disp.asc")
    states = load("berka").references["berka_statuses"].map
    bad = [r for r in loans if states[r["status"]] in ("substandard", "doubtful", "loss")]
    assert (len(bad), len(loans)) == (76, 682)
    assert Counter(r["type"] for r in dispositions) == {"OWNER": 4_500, "DISPONENT": 869}
    # What makes the owner's record a customer record of its own: one owner an account, one account an owner.
    owners = [r for r in dispositions if r["type"] == "OWNER"]
    assert len({r["account_id"] for r in owners}) == len({r["client_id"] for r in owners}) == 4_500


def test_dates_are_of_the_twentieth_century() -> None:
    assert day_of("930101") == date(1993, 1, 1)
    assert day_of('"981231"') == date(1998, 12, 31)
    assert day_of("931107 00:00:00") == date(1993, 11, 7)
    with pytest.raises(ValueError, match="month"):
        day_of("705613")


def test_days_and_faults_that_cannot_be_are_refused(bank: Berka) -> None:
    with pytest.raises(ValueError, match="not 1994-03-31"):
        list(bank.day_files(date(1994, 3, 31)))
    with pytest.raises(ValueError, match="for the invented bank"):
        list(bank.day_files(bank.days[1], ["F11"]))


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not hold district\.asc"):
        Berka(tmp_path)
