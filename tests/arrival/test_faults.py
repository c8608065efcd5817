"""Faults of the catalogue that arrival must catch (F..), each through the whole of landing: caught, named, and nothing
else stopped.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from jobs.arrival.doorbell import waiting_count
from jobs.arrival.forbidden import NAMES, ForbiddenColumn, check_names, check_text, may_hide_a_secret
from jobs.arrival.formats import format_module
from jobs.arrival.land import Landed
from jobs.contracts.formats import FixedWidth, Format
from jobs.contracts.source import Control
from jobs.ledger import deliveries
from jobs.privacy.seal import open_bytes, open_sealed
from tests.arrival.conftest import DAY, DELIMITED, Bank, movements

NAME = f"CORE_b01_TXN_{DAY}_1.txt"
GOOD = movements(("1", "10.00", "工资"), ("2", "2.50", "利息"))

TABLE = pa.table({"loan_id": ["L1"], "principal": ["10.50"]})
LOANS = (lambda file: (pq.write_table(TABLE, file), file.getvalue())[1])(io.BytesIO())


def refused(bank: Bank, landed: Landed) -> tuple[str, str]:
    """(cause, reason) of a refused delivery that has a case, is kept sealed, has no rows and left the inbox."""
    assert landed.state == "refused"
    delivery = bank.delivery(landed)
    assert (delivery.state, delivery.cause, delivery.reason) == ("refused", landed.cause, landed.reason)
    (case,) = [c for c in bank.cases() if c.delivery_id == landed.delivery_id]
    assert (case.cause, case.owner, case.feed, case.kind) == (landed.cause, "payments", landed.feed, "file")
    assert bank.stored() == [f"{landed.delivery_id}.sealed"]
    assert bank.waiting() == []
    return str(landed.cause), str(landed.reason)


def test_f01_a_bad_byte_refuses_the_file_with_its_place(bank: Bank) -> None:
    content = GOOD.replace("利息".encode("gb18030"), b"\xff\xff")
    bank.send("movements", content, NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "bad_byte"
    assert f"ff ff at byte {content.index(bytes([0xFF]))} (line 3," in reason.replace("Bytes ", "")
    with open_sealed(next((bank.home / "raw").rglob("*.sealed")), bank.keys) as raw:
        assert raw.read() == content


def test_f02_four_byte_characters_in_a_gbk_file_are_refused(bank: Bank) -> None:
    gbk = bank.with_source(
        "movements", format=bank.catalog.sources["movements"].format.model_copy(update={"encoding": "gbk"})
    )
    gbk.send("movements", movements(("1", "1.00", "\U00020087")), NAME)
    assert refused(bank, gbk.land()[0])[0] == "bad_byte"


@pytest.mark.parametrize("character", ["億", "誠"], ids=["F03 second byte is |", "F04 second byte is \\"])
def test_f03_f04_text_is_decoded_before_it_is_split(bank: Bank, character: str) -> None:
    assert {"億": b"|", "誠": b"\\"}[character] == character.encode("gb18030")[1:]
    bank.send("movements", movements(("1", "1.00", character)), NAME)
    (landed,) = bank.land()
    assert [row["remark"] for row in bank.rows(landed)] == [character]


def test_f08_a_line_with_nul_is_one_malformed_row(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", "a\0b"), ("2", "2.00", "１２"), total="3.00"), NAME)
    (landed,) = bank.land()
    assert [(r["__line"], r["__malformed"]) for r in bank.rows(landed)] == [
        (3, None),
        (2, "the line holds a NUL character"),
    ]


def test_f08_the_only_line_of_a_file_may_hold_a_nul(bank: Bank) -> None:
    """A7: the row is rejected and not the file, of which nothing else is wrong."""
    bank.send("movements", movements(("1", "1.00", "a\0b")), NAME)
    (landed,) = bank.land()
    assert landed.state == "verified"
    assert [(r["__line"], r["__malformed"]) for r in bank.rows(landed)] == [(2, "the line holds a NUL character")]


def test_f10_a_delimiter_inside_a_value_is_one_malformed_row_kept_sealed(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", "a|b"), ("2", "2.00", "")), NAME)
    (landed,) = bank.land()
    assert landed.state == "verified"
    good, bad = bank.rows(landed)
    assert (good["journal_no"], good["__line"], good["__malformed"]) == ("2", 3, None)
    assert (bad["__line"], bad["__malformed"], bad["journal_no"]) == (2, "6 columns instead of 5", None)
    assert open_bytes(bad["__sealed"], bank.keys) == f"b01|1|{DAY}|1.00|a|b".encode()


@pytest.mark.parametrize("count", [1, 3])
def test_f11_trailer_count(bank: Bank, count: int) -> None:
    bank.send("movements", movements(("1", "10.00", ""), ("2", "2.50", ""), count=count), NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "trailer_count"
    assert f"states {count} records, the file holds 2" in reason


def test_f12_trailer_sum_one_cent_off(bank: Bank) -> None:
    bank.send("movements", movements(("1", "10.00", ""), ("2", "2.50", ""), total="12.51"), NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "trailer_sum"
    assert "states a sum of 12.51, the amounts add up to 12.50 (difference -0.01)" in reason


def test_f13_signal_hash_of_another_file(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME, signal=f"{NAME}|2|12.50|{'0' * 64}")
    # The trailer says that the file is whole: no need to wait for more of it.
    cause, reason = refused(bank, bank.land(settle_seconds=3600)[0])
    assert cause == "ok_hash"
    assert hashlib.sha256(GOOD).hexdigest() in reason


@pytest.mark.parametrize(
    ("stated", "cause"), [("3|12.50", "signal_count"), ("2|12.49", "signal_sum"), ("two|", "signal_unreadable")]
)
def test_a_signal_that_states_other_figures(bank: Bank, stated: str, cause: str) -> None:
    bank.send("movements", GOOD, NAME, signal=f"{NAME}|{stated}|")
    assert refused(bank, bank.land()[0])[0] == cause


def test_f14_without_its_signal_a_file_is_not_read(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME, signal=None)
    assert bank.land() == []
    assert waiting_count(bank.catalog, bank.inbox, 0) == 0
    assert bank.waiting() == [NAME]


def test_f15_a_signal_before_its_file_waits(bank: Bank) -> None:
    path = bank.send("movements", GOOD, NAME)
    content = path.read_bytes()
    path.unlink()
    assert bank.land() == []
    path.write_bytes(content)
    assert waiting_count(bank.catalog, bank.inbox, 0) == 1
    assert [one.state for one in bank.land()] == ["verified"]


def test_f16_a_growing_file_is_arriving_until_it_is_whole(bank: Bank) -> None:
    path = bank.send("movements", GOOD, NAME)
    path.write_bytes(GOOD[:40])
    (half,) = bank.land("run-1", settle_seconds=60)
    assert (half.state, bank.delivery(half).state) == ("arriving", "arriving")
    assert bank.stored() == []
    path.write_bytes(GOOD)
    (whole,) = bank.land("run-2", settle_seconds=60)
    assert (whole.state, whole.delivery_id) == ("verified", half.delivery_id)


def test_f16_a_growing_parquet_file_leaves_nothing_behind(bank: Bank) -> None:
    name = f"LOAN_HO_CON_{DAY}_1.parquet"
    path = bank.send("loans", LOANS, name, entity="HO")
    path.write_bytes(LOANS[:-10])
    assert [one.state for one in bank.land(settle_seconds=60)] == ["arriving"]
    assert bank.stored() == []
    path.write_bytes(LOANS)
    assert [one.state for one in bank.land(settle_seconds=60)] == ["verified"]


def test_f17_a_truncated_file_is_refused_once_it_does_not_change_any_more(bank: Bank) -> None:
    path = bank.send("movements", GOOD, NAME)
    path.write_bytes(GOOD[:-20])
    os.utime(path, (time.time() - 61, time.time() - 61))
    cause, reason = refused(bank, bank.land(settle_seconds=60)[0])
    assert cause == "truncated"
    assert "line 3 without its trailer record T" in reason
    assert f"{len(GOOD) - 20} bytes came; whole are 2 lines." in reason


def test_f17_a_signal_that_states_the_bytes_tells_how_many_are_missing(bank: Bank) -> None:
    """C4: a file without a trailer, cut between two lines, looks whole: only what was announced tells."""
    content = b"ticket_no,service,note\n1,a,b\n2,a,b\n"
    name = f"QUE_b01_TIC_{DAY}_1.csv"
    path = bank.send("tickets", content[:-6], name, signal=f"{name}||||{len(content)}")
    assert [one.state for one in bank.land(settle_seconds=60)] == ["arriving"]
    os.utime(path, (time.time() - 61, time.time() - 61))
    cause, reason = refused(bank, bank.land(settle_seconds=60)[0])
    assert cause == "truncated"
    assert f"{len(content) - 6} bytes came of {len(content)} that the signal states" in reason
    assert "stands in line 2" in reason


def test_a_file_with_more_bytes_than_its_signal_states_is_refused_once_it_does_not_change_any_more(bank: Bank) -> None:
    """A file that was appended to, or two in one, has whole lines only: nothing but the signal tells."""
    content = b"ticket_no,service,note\n1,a,b\n2,a,b\n"
    name = f"QUE_b01_TIC_{DAY}_1.csv"
    path = bank.send("tickets", content, name, signal=f"{name}||||{len(content) - 6}")
    assert [one.state for one in bank.land(settle_seconds=60)] == ["arriving"]
    assert bank.stored() == []
    os.utime(path, (time.time() - 61, time.time() - 61))
    cause, reason = refused(bank, bank.land(settle_seconds=60)[0])
    assert cause == "signal_bytes"
    assert f"The signal states {len(content) - 6} bytes, and {len(content)} came: 6 too many." in reason
    assert "ask the sender for the file and its signal again" in reason


def test_a_file_that_ends_itself_with_more_bytes_than_its_signal_states_is_refused_at_once(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME, signal=f"{NAME}|2||{hashlib.sha256(GOOD).hexdigest()}|{len(GOOD) - 1}")
    assert refused(bank, bank.land(settle_seconds=60)[0])[0] == "signal_bytes"


def test_a_file_that_is_written_over_the_one_of_a_former_signal_waits_for_its_own(bank: Bank) -> None:
    content = b"ticket_no,service,note\n1,a,b\n2,a,b\n"
    name = f"QUE_b01_TIC_{DAY}_1.csv"
    bank.send("tickets", content, name, signal=f"{name}||||{len(content) - 6}")
    assert [one.state for one in bank.land(settle_seconds=60)] == ["arriving"]
    bank.send("tickets", content, name, signal=f"{name}||||{len(content)}")
    assert [(one.state, one.rows) for one in bank.land(settle_seconds=60) if one.cause != "vanished"] == [
        ("verified", 2)
    ]


def test_a_signal_that_states_the_right_bytes_is_believed(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME, signal=f"{NAME}||||{len(GOOD)}")
    assert [one.state for one in bank.land()] == ["verified"]


def test_f17_a_truncated_gzip_file(bank: Bank) -> None:
    packed = bank.with_source(
        "movements",
        format=type(bank.catalog.sources["movements"].format).model_validate(
            {**DELIMITED, "separator": "|", "compression": "gzip"}
        ),
    )
    content = gzip.compress(GOOD)
    packed.send(
        "movements",
        content[: int(len(content) * 0.7)],
        NAME,
        signal=f"{NAME}|2|12.50|{hashlib.sha256(content).hexdigest()}",
    )
    cause, reason = refused(bank, packed.land()[0])
    assert cause == "truncated"
    assert f"{int(len(content) * 0.7)} bytes came; whole are " in reason


def test_f18_an_empty_file_with_a_right_trailer_counts_as_received(bank: Bank) -> None:
    bank.send("movements", movements(), NAME)
    (landed,) = bank.land()
    assert (landed.state, landed.rows, bank.rows(landed)) == ("verified", 0, [])


def test_f20_the_same_bytes_under_a_new_name_are_ignored(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME)
    (first,) = bank.land()
    bank.send("movements", GOOD, f"CORE_b01_TXN_{DAY}_2.txt")
    (again,) = bank.land()
    assert (again.state, again.cause) == ("ignored_duplicate", "same_bytes")
    assert first.delivery_id in str(again.reason)
    assert bank.stored() == [f"{first.delivery_id}.parquet", f"{first.delivery_id}.sealed"]
    assert bank.cases() == []


def test_f20_two_equal_files_at_once(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME)
    bank.send("movements", GOOD, f"CORE_b01_TXN_{DAY}_2.txt")
    assert [one.state for one in bank.land()] == ["verified", "ignored_duplicate"]


def test_f19_a_corrected_file_under_the_same_name_is_a_delivery_of_its_own(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME)
    (first,) = bank.land()
    bank.send("movements", movements(("1", "10.00", ""), ("2", "3.50", "")), NAME)
    (second,) = bank.land()
    assert (second.state, second.delivery_id != first.delivery_id) == ("verified", True)


def test_a_good_file_closes_the_case_of_the_refused_one(bank: Bank) -> None:
    bank.send("movements", movements(("1", "10.00", ""), count=2), NAME)
    (bad,) = bank.land()
    assert [c.delivery_id for c in bank.cases()] == [bad.delivery_id]
    bank.send("movements", movements(("1", "10.00", "")), NAME)
    assert [one.state for one in bank.land()] == ["verified"]
    assert bank.cases() == []


def test_f24_header_of_another_branch(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", ""), header_branch="b02"), NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "wrong_branch"
    assert "names b02, the file's name b01" in reason


def test_f24_rows_of_another_branch(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", ""), branch="b02", header_branch="b01"), NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "wrong_branch"
    assert "Line 2 is of branch b02" in reason


def test_f25_yesterdays_rows_under_todays_name(bank: Bank) -> None:
    content = movements(("1", "1.00", ""), day="20260914").replace(
        b"H|core|b01|20260914|", f"H|core|b01|{DAY}|".encode()
    )
    bank.send("movements", content, NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "wrong_date"
    assert "Line 2 is of business date 20260914. Expected rows of 2026-09-15 only" in reason


# How a date column is written, a text of 15 September 2026, and one of another day.
WRITTEN = {
    "no pattern": (None, "2026-09-15", "2026-09-14"),
    "digits": ("yyyyMMdd", "20260915", "20260914"),
    "with points": ("dd.MM.yyyy", "15.09.2026", "14.09.2026"),
    "two-digit year": ("yyMMdd/1950", "260915", "260914"),
    "of a century ago": ("yyMMdd/1927", "260915", "270915"),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_f25_in_columns_of_other_names_as_the_source_says(bank: Bank, case: str) -> None:
    """`ticket_no` is a date here, and `service` the branch. What is no date is its row's fault, and no reason to refuse the file."""
    pattern, today, yesterday = WRITTEN[case]
    table = bank.catalog.bronze("tickets")
    dated = table.columns["ticket_no"].model_copy(update={"type": "date", "parse": pattern})
    table = table.model_copy(update={"columns": table.columns | {"ticket_no": dated}})
    named = bank.with_source("tickets", control=Control(entity="service", business_date="ticket_no"))
    named = replace(named, catalog=replace(named.catalog, tables=named.catalog.tables | {table.table: table}))
    lines = {1: f"{today},b01,", 2: f"{today},b02,", 3: f"{yesterday},b01,", 4: "sometime,b01,"}
    for seq, line in lines.items():
        content = f"ticket_no,service,note\n{today},b01,\n{line}{seq}\n".encode()
        named.send("tickets", content, f"QUE_b01_TIC_{DAY}_{seq}.csv")
    good, branch, day, unread = named.land()
    assert (good.state, unread.state) == ("verified", "verified")
    assert (branch.cause, day.cause) == ("wrong_branch", "wrong_date")
    assert "Line 3 is of branch b02" in str(branch.reason)
    assert f"Line 3 is of business date {yesterday}. Expected rows of 2026-09-15 only" in str(day.reason)


def test_f25_yesterdays_bytes_in_todays_lane(bank: Bank) -> None:
    """A file without dates inside: only its bytes tell that it came before."""
    bank.send("tickets", b"ticket_no,service,note\n1,a,b\n", "QUE_b01_TIC_20260914_1.csv", day="20260914")
    bank.send("tickets", b"ticket_no,service,note\n1,a,b\n", f"QUE_b01_TIC_{DAY}_1.csv")
    yesterday, today = bank.land()
    assert (yesterday.state, today.state, today.cause) == ("verified", "refused", "same_bytes_elsewhere")
    assert f"came as {yesterday.delivery_id}" in str(today.reason)


def test_an_unchanged_snapshot_is_welcome(bank: Bank) -> None:
    snapshot = bank.with_source("tickets", kind="snapshot")
    snapshot.send("tickets", b"ticket_no,service,note\n1,a,b\n", "QUE_b01_TIC_20260914_1.csv", day="20260914")
    snapshot.send("tickets", b"ticket_no,service,note\n1,a,b\n", f"QUE_b01_TIC_{DAY}_1.csv")
    assert [one.state for one in snapshot.land()] == ["verified", "verified"]


def test_f26_a_new_named_column_is_held_back(bank: Bank) -> None:
    bank.send("tickets", b"ticket_no,colour,service,note\n1,red,a,b\n", f"QUE_b01_TIC_{DAY}_1.csv")
    (landed,) = bank.land()
    assert landed.state == "verified"
    assert "colour" in str(bank.delivery(landed).reason)
    assert bank.rows(landed)[0]["service"] == "a"


def test_f27_a_named_column_is_gone(bank: Bank) -> None:
    bank.send("tickets", b"ticket_no,note\n1,b\n", f"QUE_b01_TIC_{DAY}_1.csv")
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "column_removed"
    assert "service" in reason


def test_f27_every_line_lacks_a_column(bank: Bank) -> None:
    content = GOOD.replace("|工资".encode("gb18030"), b"").replace("|利息".encode("gb18030"), b"")
    bank.send("movements", content, NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "no_readable_record"
    assert reason.startswith("None of the 2 records can be read, for instance line 2: 4 columns instead of 5. Expected")


def test_a_file_of_which_no_record_can_be_read_is_refused_whatever_the_reasons(bank: Bank) -> None:
    """As it came it may be right: with the source corrected it is taken, under its own name."""
    content = movements(("1", "1.00", "a|b"), ("2", "2.00", "c|d|e"), ("3", "3.00", "f\0"), ("4", "4.00", "g|h|i|j"))
    bank.send("movements", content, NAME)
    (landed,) = bank.land()
    cause, reason = refused(bank, landed)
    assert cause == "no_readable_record"
    assert "the 4 records can be read, for instance line 2: 6 columns instead of 5; line 3: 7 columns instead of 5; line 4: the line holds a NUL character. Expected" in reason  # fmt: skip
    assert "correct it and send the same file again" in reason and "ask the sender for the right records" in reason
    assert not any(name.endswith(".parquet") for name in bank.stored())
    bank.send("movements", content, NAME)  # the mistake is not corrected
    assert [(one.state, one.cause) for one in bank.land()] == [("refused", "no_readable_record")]


def test_a_file_with_another_separator_throughout_is_told_which_was_declared(bank: Bank) -> None:
    declared = bank.catalog.sources["movements"].format
    plain = bank.with_source("movements", format=declared.model_copy(update={"header": None, "trailer": None}))
    plain.send("movements", b"b01~1~20260915~1.00~\n\nb01~2~20260915~2.00~\n", NAME)
    (landed,) = plain.land()
    assert "for instance line 1: 1 column instead of 5, without the separator '|'; line 2: an empty line. Expected" in refused(plain, landed)[1]  # fmt: skip


def test_a_refused_file_is_taken_once_the_source_is_corrected(bank: Bank) -> None:
    content = b"".join(line.replace(b"|", b"~") + b"\n" for line in GOOD.splitlines()[1:-1])
    declared = bank.catalog.sources["movements"].format
    wrong = bank.with_source("movements", format=declared.model_copy(update={"header": None, "trailer": None}))
    wrong.send("movements", content, NAME)
    assert [one.cause for one in wrong.land()] == ["no_readable_record"]
    right = declared.model_copy(update={"header": None, "trailer": None, "separator": "~"})
    mended = bank.with_source("movements", format=right)
    mended.send("movements", content, NAME)
    assert [(one.state, one.rows) for one in mended.land()] == [("verified", 2)]
    assert bank.cases() == []


def test_empty_lines_are_told_where_the_count_differs(bank: Bank) -> None:
    lines = movements(("1", "1.00", ""), ("2", "2.00", ""), ("3", "3.00", ""), count=3).splitlines()
    bank.send("movements", b"\n".join([*lines[:2], b"", *lines[2:4], b"", lines[4], b""]), NAME)
    cause, reason = refused(bank, bank.land()[0])
    assert cause == "trailer_count"
    assert "states 3 records, the file holds 5 (difference +2). Among those in the file 2 empty lines are counted" in reason  # fmt: skip
    bank.send("movements", movements(("1", "1.00", ""), count=2), NAME)
    assert "empty" not in str(bank.land()[0].reason)


def test_the_only_record_of_a_file_is_rejected_by_itself(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", "a|b")), NAME)
    (landed,) = bank.land()
    assert landed.state == "verified"
    assert [(r["__line"], r["__malformed"]) for r in bank.rows(landed)] == [(2, "6 columns instead of 5")]


@pytest.mark.parametrize("place", ["column line", "json key", "later json key", "contract"])
def test_f57_a_c3_column_never_lands(bank: Bank, place: str) -> None:
    secret = b"cvn-4711"
    if place == "column line":
        bank.send("tickets", b"ticket_no,service,note,CVN2\n1,a,b," + secret + b"\n", f"QUE_b01_TIC_{DAY}_1.csv")
    elif place == "contract":
        columns = {**bank.catalog.bronze("tickets").columns}
        columns["note"] = columns["note"].model_copy(update={"classification": "C3/5"})
        table = bank.catalog.bronze("tickets").model_copy(update={"columns": columns})
        bank.catalog.tables["bronze.tickets"] = table
        bank.send("tickets", b"ticket_no,service,note\n1,a," + secret + b"\n", f"QUE_b01_TIC_{DAY}_1.csv")
    else:
        first = b'{"event_id":"0"}\n' if place == "later json key" else b""
        line = first + b'{"event_id":"1","payload":{"pay_password":"' + secret + b'"}}\n'
        bank.send("events", gzip.compress(line), f"APP_app_EVT_{DAY}_1.jsonl.gz", signal=None, entity="app")
    (landed,) = bank.land()
    assert (landed.state, landed.cause) == ("refused", "c3_column")
    assert [c.kind for c in bank.cases()] == ["incident"]
    assert bank.stored() == []
    assert bank.waiting() == []
    assert all(secret not in p.read_bytes() for p in bank.home.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    "name", ["CVN2", "Pay Password", "card_expiry", "交易密码", "交易 密码", "二磁道信息", "CVV2码"]
)
def test_f57_such_a_name_is_noticed_in_any_language(name: str) -> None:
    with pytest.raises(ForbiddenColumn, match=f"The column {name} in a file"):
        check_names(["ticket_no", name], "a file")
    with pytest.raises(ForbiddenColumn):
        check_text(f'{{"a": 1, "{name}": broken', "line 1")
    assert may_hide_a_secret(f'{{"{name}":"1"}}'.encode())
    check_names(["密码状态", "有效期", "密码修改日期", "passport_no", "expiry_date"], "a file")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
@pytest.mark.parametrize("kind", ["delimited", "json_lines", "xml"])
def test_f57_a_chinese_name_is_noticed_before_a_byte_is_kept(kind: str, encoding: str) -> None:
    content = {
        "delimited": "ticket_no,交易密码\n1,123456\n",
        "json_lines": '{"ticket_no":"1","交易密码":"123456"}\n',
        "xml": "<a><b><交易密码>123456</交易密码></b></a>",
    }[kind]
    more = {"delimited": {"columnLine": True}, "json_lines": {}, "xml": {"record": "a/b"}}[kind]
    fmt: Any = TypeAdapter(Format).validate_python({"kind": kind, "encoding": encoding, **more})
    names = format_module(kind).column_names(io.BytesIO(content.encode(encoding)), fmt)
    with pytest.raises(ForbiddenColumn, match="The column 交易密码"):
        check_names(names, "a file")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_f57_every_such_name_is_noticed_in_json(name: str) -> None:
    for key in (name, name.upper(), name.replace("block", "_block").replace("pass", "_pass").replace("data", "-data")):
        assert may_hide_a_secret(f'{{"a":1,"{key}":"x"}}'.encode()), key


def test_one_bad_branch_stops_nobody_else(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", ""), count=9), NAME)
    other = f"CORE_b02_TXN_{DAY}_1.txt"
    bank.send("movements", movements(("1", "1.00", ""), branch="b02"), other, entity="b02")
    assert {one.entity: one.state for one in bank.land()} == {"b01": "refused", "b02": "verified"}


def test_a_file_whose_name_is_no_utf8_is_refused_and_stops_nobody(bank: Bank) -> None:
    bank.send("movements", b"x", os.fsdecode("余额.csv".encode("gbk")), signal=None)
    bank.send("movements", GOOD, NAME)
    assert {(one.state, one.cause) for one in bank.land()} == {("verified", None), ("refused", "unknown_file")}
    assert bank.waiting() == []


def test_every_change_of_state_is_in_the_history(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME)
    bank.land("run-7")
    with bank.ledger.begin() as db:
        from sqlalchemy import text

        history = db.execute(text("select state, run_id from delivery_events order by event_id")).all()
        assert [tuple(row) for row in history] == [("arriving", "run-7"), ("verified", "run-7")]
        assert deliveries.counts(db) == {"verified": 1}
        assert deliveries.find(db)[0].received_at <= datetime.now(UTC)


def test_unfinished_names_are_not_looked_at(bank: Bank) -> None:
    bank.send("movements", GOOD, f"{NAME}.part", signal=None)
    bank.send("movements", GOOD, f".{NAME}", signal=None)
    assert bank.land() == []
    assert waiting_count(bank.catalog, bank.inbox, 0) == 0
    assert Path(bank.inbox.root).exists()


def test_the_doorbell_loads_nothing_heavy() -> None:
    program = "import sys, jobs.arrival.doorbell, jobs.arrival.inbox, jobs.arrival.folder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pyarrow", "sqlalchemy", "pyspark", "boto3", "great_expectations"} & set(loaded)


def test_a_signal_that_is_just_being_written_is_waited_for(bank: Bank) -> None:
    path = bank.send("movements", movements(("1", "10.00", "x")), NAME, signal=None)
    bank.signal(path, "")
    path.with_name(f"{NAME}.ok").write_text("")
    assert bank.land(settle_seconds=20.0) == [] and bank.waiting() == [NAME, f"{NAME}.ok"]
    bank.signal(path, f"{NAME}|||")
    assert [one.state for one in bank.land(settle_seconds=20.0)] == ["verified"]


def test_a_signal_that_stays_empty_is_refused(bank: Bank) -> None:
    path = bank.send("movements", movements(("1", "10.00", "x")), NAME, signal=None)
    path.with_name(f"{NAME}.ok").write_text("")
    (landed,) = bank.land(settle_seconds=0.0)
    assert (landed.state, landed.cause) == ("refused", "signal_unreadable")


@pytest.mark.parametrize(("fen", "cause"), [("1250", None), ("1251", "trailer_sum")])
def test_a_file_of_fixed_widths_from_its_first_byte_to_its_last(bank: Bank, fen: str, cause: str | None) -> None:
    """As a mainframe prints it: no separator anywhere, amounts and their sum in fen."""
    edges = {
        "header": {"tag": "H", "fields": ["entity", "business_date"], "widths": [6, 8]},
        "trailer": {"tag": "T", "fields": ["record_count", "amount_sum"], "widths": [8, 12], "parse": "implied(2)"},
    }
    fixed = bank.with_source(
        "balances", format=FixedWidth.model_validate({"kind": "fixed_width", "encoding": "gb18030", **edges})
    )
    lines = [f"Hb01   {DAY}", "A00001张三    0000001000", "A00002李四    0000000250", f"T00000002{fen:>012}"]
    fixed.send("balances", "\r\n".join(lines).encode("gb18030"), f"CORE_b01_BAL_{DAY}_1.dat")
    (landed,) = fixed.land()
    assert landed.cause == cause
    if cause is None:
        assert [(r["name"], r["balance"]) for r in bank.rows(landed)] == [
            ("张三", "0000001000"),
            ("李四", "0000000250"),
        ]
    else:
        assert "states a sum of 12.51, the amounts add up to 12.50" in str(landed.reason)


def test_a_sum_that_cannot_be_compared_is_said(bank: Bank) -> None:
    bank.send("movements", movements(("1", "10.00", "x"), ("2", "1O.00", "x"), total="999.00"), NAME)
    (landed,) = bank.land()
    assert landed.state == "verified"
    assert landed.reason == "rows whose amount cannot be read, so that the stated sum was not compared"
