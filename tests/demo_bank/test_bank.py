"""The invented bank: the same seed gives the same bytes, its books close, and its files say what is true."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import tarfile
import zipfile
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import openpyxl
import pyarrow.parquet as pq
import pysequoia
import pytest

from jobs.contracts import load
from jobs.demo_bank import DemoBank, Sent
from jobs.demo_bank.bank import TAKE_ON
from jobs.demo_bank.codes import SUBJECTS
from jobs.demo_bank.people import id_is_valid, uscc

FIELDS = {"core_customers": 12, "core_accounts": 13, "core_transactions": 24}


def digests(files: list[Sent]) -> dict[str, str]:
    return {str(f.path): hashlib.sha256(f.data).hexdigest() for f in files}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(small_bank: DemoBank) -> None:
    day = small_bank.first_live_day
    again, other = DemoBank(seed=1, scale="XS"), DemoBank(seed=2, scale="XS")
    mine = digests(list(small_bank.day_files(day)))
    assert digests(list(again.day_files(day))) == mine
    assert digests(list(other.day_files(day))) != mine


def test_a_day_is_the_same_whether_asked_first_or_after_others() -> None:
    forward, back = DemoBank(seed=3, scale="XS"), DemoBank(seed=3, scale="XS")
    day = forward.first + timedelta(days=4)
    back.day(day + timedelta(days=5))
    assert digests(list(back.day_files(day))) == digests(list(forward.day_files(day)))


def test_the_take_on_is_repeatable_and_says_what_it_holds(tmp_path: Path) -> None:
    bank = DemoBank(seed=1, scale="XS")
    last = bank.first + timedelta(days=2)
    first = {p.name: p.read_bytes() for p in bank.take_on(tmp_path / "a", until=last)}
    second = {p.name: p.read_bytes() for p in DemoBank(seed=1, scale="XS").take_on(tmp_path / "b", until=last)}
    assert first == second
    file = next((tmp_path / "a" / "core_balances").rglob("*.dat"))
    lines = file.read_bytes().splitlines()
    name, count, money, digest = Path(f"{file}.ok").read_text().strip().split("|")
    assert (name, digest) == (file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    assert lines[0].decode().split("|")[:4] == ["H", "core", TAKE_ON, f"{last:%Y%m%d}"]
    assert lines[-1].decode() == f"T|{count}|{money}"
    assert Decimal(money) == sum(Decimal(line[60:78].decode()) for line in lines[1:-1]) / 100
    assert {line[6:14].decode() for line in lines[1:-1]} == {
        f"{bank.first + timedelta(days=n):%Y%m%d}" for n in range(3)
    }


def test_opening_and_movements_give_the_closing_balance_of_every_account_day(small_bank: DemoBank) -> None:
    first = small_bank.first
    closing = {a.account_no: fen for a, fen in small_bank.day(first).balances}
    for n in range(1, 5):
        day = small_bank.day(first + timedelta(days=n))
        movement: dict[str, int] = defaultdict(int)
        for t in day.transactions:
            if t.status == "0" and t.is_financial:
                movement[t.account.account_no] += t.booked if t.direction == "D" else -t.booked
        for account, fen in day.balances:
            assert closing.get(account.account_no, 0) + movement[account.account_no] == fen
        closing = {a.account_no: fen for a, fen in day.balances}


def test_a_running_balance_ends_where_the_day_ends(small_bank: DemoBank) -> None:
    day = small_bank.day(small_bank.first_live_day)
    standing = {a.account_no: fen for a, fen in day.balances}
    last = {t.account.account_no: t.after for t in day.transactions}
    assert all(standing[number] == after for number, after in last.items() if number in standing)


def test_reversals_name_an_original_of_the_same_or_the_former_day(small_bank: DemoBank) -> None:
    found = 0
    for n in range(1, 8):
        day, before = small_bank.first + timedelta(days=n), small_bank.first + timedelta(days=n - 1)
        originals = {t.key: t for d in (before, day) for t in small_bank.day(d).transactions}
        for t in small_bank.day(day).transactions:
            if t.reverses:
                original = originals[t.branch_id, t.reverses]
                assert (original.status, original.direction, t.direction) == ("0", "J", "D")
                assert t.fen <= original.fen
                found += 1
    assert found


def test_internal_transfers_have_two_sides(small_bank: DemoBank) -> None:
    day = small_bank.day(small_bank.first_live_day)
    legs = defaultdict(list)
    for t in day.transactions:
        if t.counterparty and t.status == "0":
            legs[t.branch_id, t.journal].append(t.booked if t.direction == "D" else -t.booked)
    assert legs and all(len(pair) == 2 and sum(pair) == 0 for pair in legs.values())


def test_the_general_ledger_is_the_sum_of_the_accounts_and_adds_up_to_nothing(small_bank: DemoBank) -> None:
    before: dict[tuple[str, str], int] = {}
    for n in range(1, 6):
        day = small_bank.day(small_bank.first + timedelta(days=n))
        accounts: dict[tuple[str, str], int] = defaultdict(int)
        for account, fen in day.balances:
            accounts[account.branch_id, SUBJECTS[account.product.product_id][0]] += fen
        told = {(b.branch_id, b.subject): b for b in day.gl}
        assert {at: b.closing for at, b in told.items() if b.has_sub_ledger} == {
            at: accounts[at] for at in told if told[at].has_sub_ledger
        }
        assert set(accounts) <= set(told)
        assert all(b.opening == before.get(at, b.opening) for at, b in told.items())
        for branch in {branch for branch, _ in told}:
            own = [b for b in day.gl if b.branch_id == branch]
            assert (sum(b.closing for b in own), sum(b.debit for b in own)) == (0, sum(b.credit for b in own))
        before = {at: b.closing for at, b in told.items()}


def test_a_sale_at_an_account_is_registered_once(small_bank: DemoBank) -> None:
    day = small_bank.day(small_bank.first_live_day)
    registered = sorted((t.sale_id, t.fen) for t in day.transactions if t.sale_id)
    assert registered == sorted((s.sale_id, s.fen) for s in day.sales if s.status == "completed" and s.account_no)
    assert registered and not any(t.is_financial for t in day.transactions if t.sale_id)


def test_every_file_reads_back(small_bank: DemoBank) -> None:
    fifth_working_day_of_september = date(2026, 9, 7)
    bank = DemoBank(seed=small_bank.seed, scale="XS")
    for day in (fifth_working_day_of_september, small_bank.first_live_day):
        files = [part for sent in bank.day_files(day) for part in sent.members or (sent,)]
        assert any(f.feed == "branch_costs" for f in files) == (day == fifth_working_day_of_september)
        for sent in files:
            assert _records(sent) == sent.rows, sent.path


def test_the_clearing_house_works_when_banks_do(small_bank: DemoBank) -> None:
    """Saturday 19 September 2026 is none of its days; on Sunday, a working weekend, it tells its statement."""
    bank = DemoBank(seed=small_bank.seed, scale="XS")
    sent = {day: {s.feed for s in bank.day_files(date(2026, 9, day))} for day in (18, 19, 20)}
    assert {day: "clearing_statements" in feeds for day, feeds in sent.items()} == {18: True, 19: False, 20: True}
    assert sent[18] - sent[19] == {"clearing_statements"}


def _records(sent: Sent) -> int:
    """How many there are, counted without any of the project's readers."""
    if sent.feed == "core_legacy":
        data, number = sent.data, 0
        while data:
            data, number = data[int.from_bytes(data[:2], "big") :], number + 1
        return number - 2  # header and trailer
    if sent.feed == "hk_ledger":
        return sum(map(len, _blocks(sent.data))) - 2
    if sent.feed == "hk_deposits":
        lines = sent.data.decode("big5hkscs").splitlines()
        return len([line for line in lines if not line.startswith("#")]) - 2
    if sent.feed == "hk_quotes":
        return len(list(csv.DictReader(sent.data.decode("utf-16").splitlines(), delimiter="\t")))
    if sent.file_name.endswith(".parquet"):
        return pq.read_table(BytesIO(sent.data)).num_rows
    if sent.file_name.endswith(".jsonl"):
        return len([json.loads(line) for line in sent.data.decode().splitlines()])
    if sent.file_name.endswith(".xml"):
        return len(ElementTree.fromstring(sent.data).findall(".//{*}Ntry"))
    if sent.file_name.endswith(".xlsx"):
        book = openpyxl.load_workbook(BytesIO(sent.data))
        return sum(
            isinstance(row[4], datetime) for sheet in book if sheet.sheet_state == "visible" for row in sheet.values
        )
    if sent.file_name.endswith(".csv"):
        return len(list(csv.DictReader(sent.data.decode("utf-8-sig").splitlines())))
    raw = gzip.decompress(sent.data) if sent.file_name.endswith(".gz") else sent.data
    lines = raw.decode("gb18030").splitlines()
    if sent.feed in FIELDS:
        separator = "\x1b" if sent.feed == "core_transactions" else "|+|"
        assert {len(line.split(separator)) for line in lines[1:-1]} <= {FIELDS[sent.feed]}
    return len(lines) - (sent.feed not in {"core_products", "core_branches", "core_rates", "core_hours"}) - 1


def test_parameters_come_in_one_archive_that_says_what_its_members_hold(small_bank: DemoBank) -> None:
    [sent] = [f for f in small_bank.day_files(small_bank.first_live_day) if f.feed == "core_params"]
    with tarfile.open(fileobj=BytesIO(sent.data)) as archive:
        content = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    said = content.pop("core_params.OK").decode().splitlines()
    assert content == {m.file_name: m.data for m in sent.members}
    assert [line.split("|")[:2] for line in said] == [[m.file_name, str(m.rows)] for m in sent.members]


def _blocks(data: bytes) -> list[list[bytes]]:
    """Records of each block, by the lengths that stand before blocks and records; both count their own four bytes."""
    blocks: list[list[bytes]] = []
    while data:
        block, data = data[4 : int.from_bytes(data[:2], "big")], data[int.from_bytes(data[:2], "big") :]
        blocks.append([])
        while block:
            length = int.from_bytes(block[:2], "big")
            blocks[-1].append(block[4:length])
            block = block[length:]
    return blocks


def _unpacked(field: bytes) -> int:
    """Cents of a packed number: its digits, and c or d for the sign."""
    digits = field.hex()
    return int(digits[:-1]) * {"c": 1, "d": -1}[digits[-1]]


def test_the_agents_package_is_opened_by_hand(small_bank: DemoBank, home: Path, tmp_path: Path) -> None:
    """As the bank would without the platform: its key, an unzip, and each member by the bytes."""
    [sent] = [f for f in small_bank.day_files(small_bank.first_live_day) if f.feed == "hk_package"]
    written, again = (sent.write(tmp_path / inbox).read_bytes() for inbox in ("a", "b"))
    assert written != again, "each message has a key of its own; what it says is the same"
    secret = pysequoia.Tsk.from_bytes((home / "secrets" / "pgp.asc").read_bytes())
    for message in (written, again):
        assert pysequoia.decrypt(message, decryptor=secret.decryptor()).bytes == sent.data
    assert Path(f"{tmp_path / 'a' / sent.path}.ok").read_text() == "HKA_HK_PACKAGE_20260915_1.zip.pgp|3||\n"
    with zipfile.ZipFile(BytesIO(sent.data)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    said = content.pop("hk_package.OK").decode().splitlines()
    assert [line.split("|")[0] for line in said] == list(content) == [m.file_name for m in sent.members]
    deposits, quotes, ledger = content.values()

    first, header, *lines, last, trailer = deposits.decode("big5hkscs").splitlines()
    assert (first[:2], header, last[:2]) == ("# ", "H|hka|HK|20260915|20260915173500", "# ")
    fields = [line.split("|") for line in lines]
    assert {len(f) for f in fields} == {6}
    assert trailer == f"T|{len(fields)}|{sum(Decimal(f[3]) for f in fields)}"
    assert any("深水埗" in f[4] for f in fields), "埗 is in the Big5 of Hong Kong only"
    with pytest.raises(UnicodeDecodeError):
        deposits.decode("big5")
    assert {line.count(b"|") for line in deposits.splitlines()[2:-2]} == {5, 6}, "the second byte of 育 is a |"

    assert quotes[:2] == b"\xff\xfe", "little-endian, as Excel writes it"
    names, *rows = (line.split("\t") for line in quotes.decode("utf-16").removesuffix("\r\n").split("\r\n"))
    assert names == ["instrument", "name", "bid", "ask", "business_date"]
    assert rows[0][:2] == ["USDHKD", "美元兌港元"] and all(0 < Decimal(r[2]) < Decimal(r[3]) for r in rows)

    blocks = _blocks(ledger)
    assert [len(block) for block in blocks] == [5, 5, 4]
    head, *records, tail = (record for block in blocks for record in block)
    assert head.decode("cp037") == "HHKA HK    20260915"
    assert records[0][:42].decode("cp037") == "L101100CASH ON HAND            20260915HKD"
    amounts = [[_unpacked(record[at : at + 7]) for at in (44, 51, 58)] for record in records]
    assert all(debit - credit == net for debit, credit, net in amounts) and any(net < 0 for *_, net in amounts)
    assert sum(net for *_, net in amounts) == 0, "each entry is a debit and a credit"
    assert tail[:9].decode("cp037") == f"T{len(records):08d}"
    assert _unpacked(tail[9:]) == sum(debit for debit, *_ in amounts)
    assert sum(int.from_bytes(record[42:44], "big") for record in records) == 2 * 40


def test_file_names_are_those_that_the_sources_promise(small_bank: DemoBank) -> None:
    catalog = load("demo")
    for sent in small_bank.day_files(small_bank.first_live_day):
        named = catalog.sources[sent.feed].conforms_to_name(sent.file_name)
        assert named and (named["entity"], named["date"]) == (sent.entity, f"{sent.business_date:%Y%m%d}")


def test_a_file_and_its_signal_are_written_where_the_inbox_expects_them(small_bank: DemoBank, tmp_path: Path) -> None:
    sent = next(f for f in small_bank.day_files(small_bank.first_live_day, branch="b02"))
    target = sent.write(tmp_path)
    assert target == tmp_path / "core_customers" / "b02" / "2026-09-15" / "CORE_b02_CUST_20260915_1.txt"
    assert Path(f"{target}.ok").read_text().startswith(f"{sent.file_name}|{sent.rows}||")


def test_identity_numbers_are_valid_but_for_those_written_wrongly(small_bank: DemoBank) -> None:
    people = small_bank.people
    true_number = {p.number: p.id_number for p in people.parties if p.id_kind == "01"}
    assert all(id_is_valid(number) for number in true_number.values())
    wrong = [r for r in people.records if r.id_kind == "01" and not id_is_valid(r.id_number)]
    assert 0 < len(wrong) < len(people.records) * 0.1
    # The known sample of the standard, and one that the demo's own range gives.
    assert id_is_valid("11010519491231002X") and not id_is_valid("991101199003071239")
    assert uscc(1) == "91990000MA0000001B"


def test_a_day_before_the_history_is_refused(small_bank: DemoBank) -> None:
    with pytest.raises(ValueError, match="history begins on"):
        small_bank.day(small_bank.first - timedelta(days=1))
