"""XML messages: entries of a bank statement as ISO 20022 writes it (camt.053), and whatever else has a path."""

from __future__ import annotations

import gzip
import io
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival import text
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.forbidden import ForbiddenColumn
from jobs.arrival.formats import xml
from jobs.arrival.formats.xml import Reader, column_names
from jobs.contracts.column import Column
from jobs.contracts.formats import XmlFile

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
STATEMENT = f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="{NAMESPACE}">
  <BkToCstmrStmt>
    <GrpHdr><MsgId>M-1</MsgId></GrpHdr>
    <Stmt>
      <Id>2026-09-15/1</Id>
      <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>
      <TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries><Sum>35.5</Sum></TtlNtries></TxsSummry>
      <Ntry>
        <Amt Ccy="CNY">10.50</Amt><CdtDbtInd>CRDT</CdtDbtInd>
        <NtryDtls><TxDtls><RmtInf><Ustrd>工资 &amp; Bonus</Ustrd><Ustrd>September</Ustrd></RmtInf></TxDtls></NtryDtls>
      </Ntry>
      <Ntry><Amt Ccy="CNY">25.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></Ntry>
    </Stmt>
    <Stmt>
      <Id>2026-09-15/2</Id>
      <TxsSummry><TtlNtries><NbOfNtries>1</NbOfNtries><Sum>7.25</Sum></TtlNtries></TxsSummry>
      <Ntry><Amt Ccy="EUR">7.25</Amt><CdtDbtInd>CRDT</CdtDbtInd></Ntry>
    </Stmt>
  </BkToCstmrStmt>
</Document>
"""
ENTRY = {"record": "Document/BkToCstmrStmt/Stmt/Ntry"}
TOTALS = {
    "record_count": "Document/BkToCstmrStmt/Stmt/TxsSummry/TtlNtries/NbOfNtries",
    "amount_sum": "Document/BkToCstmrStmt/Stmt/TxsSummry/TtlNtries/Sum",
}
COLUMNS = {
    "amount": "Amt",
    "currency": "Amt/@Ccy",
    "direction": "CdtDbtInd",
    "remark": "NtryDtls/TxDtls/RmtInf/Ustrd",
    "statement": "../Id",
    "iban": "../Acct/Id/IBAN",
}


def read(content: bytes, wanted: dict[str, str], **options: Any) -> tuple[list[tuple[Any, ...]], Reader]:
    """(line and values of each row, the reader)."""
    columns = {
        n: Column.model_validate({"type": "string", "classification": "C1/2", "from": f}) for n, f in wanted.items()
    }
    reader = Reader(io.BytesIO(content), XmlFile.model_validate({"kind": "xml", **options}), columns)
    rows = [
        row
        for part in reader
        for row in zip(part.lines.to_pylist(), *(part.columns[n].to_pylist() for n in wanted), strict=True)
    ]
    return rows, reader


def test_the_entries_of_a_statement() -> None:
    rows, reader = read(STATEMENT.encode(), COLUMNS, **ENTRY, namespace=NAMESPACE, trailer=TOTALS)
    assert rows == [
        (9, "10.50", "CNY", "CRDT", '["工资 & Bonus","September"]', "2026-09-15/1", "DE89370400440532013000"),
        (13, "25.00", "CNY", "DBIT", None, "2026-09-15/1", "DE89370400440532013000"),
        # The second statement names no account: that of the first is not its own.
        (18, "7.25", "EUR", "CRDT", None, "2026-09-15/2", None),
    ]
    assert reader.trailer == {"record_count": "3", "amount_sum": "42.75"}


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "gbk", "utf-16", "utf-16-le"])
def test_whatever_its_encoding(encoding: str) -> None:
    text = STATEMENT.replace('encoding="UTF-8"', f'encoding="{encoding}"')
    expected, _ = read(STATEMENT.encode(), COLUMNS, **ENTRY)
    assert read(text.encode(encoding), COLUMNS, **ENTRY, encoding=encoding)[0] == expected
    assert (
        read(gzip.compress(text.encode(encoding)), COLUMNS, **ENTRY, encoding=encoding, compression="gzip")[0]
        == expected
    )


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), max_size=12).map(
    lambda t: t.strip() or None
)


@given(st.lists(st.tuples(texts, texts, texts), max_size=10), st.integers(1, 50), st.integers(1, 3))
def test_what_was_written_is_read_back(table: list[tuple[str | None, ...]], bite: int, batch: int) -> None:
    def element(name: str, value: str | None) -> str:
        return f"<{name}>{escape(value)}</{name}>" if value is not None else f"<{name}/>"

    body = "".join(
        f'<row at="{escape(at or "", {chr(34): "&quot;"})}">\n{element("a", a)}{element("b", b)}</row>'
        for a, b, at in table
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml, "BITE", bite)
        patch.setattr(xml, "ROWS", batch)
        rows, _ = read(f"<t>{body}</t>".encode(), {"a": "a", "b": "b", "at": "@at"}, record="t/row")
    assert [row[1:] for row in rows] == table


@given(st.binary(max_size=120) | st.text("<>/ab =\"'&;!?-[]", max_size=60).map(str.encode))
def test_random_bytes_never_crash_it(content: bytes) -> None:
    try:
        read(content, {"a": "a"}, record="a/b")
    except Refused as refusal:
        assert refusal.cause in ("bad_xml", "truncated", "bad_byte", "wrong_document", "xml_doctype", "no_record")


def test_a_document_that_ends_too_early_is_cut() -> None:
    for end in (40, 300, 700, len(STATEMENT) - 4):
        with pytest.raises(Cut, match="before its elements do"):
            read(STATEMENT[:end].encode(), COLUMNS, **ENTRY)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(Refused, match=r"no XML at line 8, column \d+: mismatched tag"):
        read(STATEMENT.replace("<TxsSummry>", "<TxsSum>", 1).encode(), COLUMNS, **ENTRY)
    with pytest.raises(Refused, match=r"The root element is Document\. Expected Envelope") as wrong:
        read(STATEMENT.encode(), {"a": "a"}, record="Envelope/Document")
    assert wrong.value.cause == "wrong_document"
    with pytest.raises(Refused, match=r"is of the namespace urn:\S+001.08. Expected urn:x"):
        read(STATEMENT.encode(), COLUMNS, **ENTRY, namespace="urn:x")
    with pytest.raises(Refused, match="Bytes ff 3c at byte 3"):
        read(b"<a>\xff</a>", {"a": "a"}, record="a/b")


def refused(content: str, **options: Any) -> str:
    with pytest.raises(Refused) as wrong:
        read(content.encode(), {"a": "a"}, **options)
    assert wrong.value.cause == "no_record"
    return str(wrong.value)


def test_a_path_at_which_nothing_stands_loses_no_file_unseen() -> None:
    assert "has no D/S/Entry, which is a row: in D/S stands no Entry, but Ntry. Expected at least one" in refused(
        "<D><S><Ntry><a>1</a></Ntry><Ntry/></S></D>", record="D/S/Entry"
    )
    assert "in D stands no S, but H, T." in refused("<D><H/><T><r><a>1</a></r></T></D>", record="D/S/r")
    assert "in D stands no S." in refused("<D>5.00</D>", record="D/S/r")
    # Refused by its path too where it states that it has records.
    assert "in D stands no row, but r." in refused(
        "<D><n>2</n><r/><r/></D>", record="D/row", trailer={"record_count": "D/n"}
    )
    assert "in D stands no row, but r." in refused(
        "<D><n>two</n><r/></D>", record="D/row", header={"record_count": "D/n"}
    )


def test_names_of_what_stands_there_instead_are_bounded_and_its_values_are_not_told() -> None:
    told = refused("<D>" + "".join(f"<r{i}>6222</r{i}>" for i in range(500)) + "</D>", record="D/row")
    assert "in D stands no row, but r0, r1, r2, r3, r4, r5, r6, r7 and others." in told
    assert "6222" not in told
    assert f"in D stands no row, but {'x' * 40}…." in refused(f"<D><{'x' * 5000}/></D>", record="D/row")


def test_a_document_without_records_is_right_where_nothing_can_be_lost() -> None:
    for content, options in {
        "<D/>": {"record": "D/r"},
        "<D><S/><S></S></D>": {"record": "D/S/r"},
        # It says itself that it has none.
        "<D><n>0</n><other/></D>": {"record": "D/S/r", "trailer": {"record_count": "D/n"}},
        "<D><n>00</n></D>": {"record": "D/S/r", "header": {"record_count": "D/n"}},
        # What the source or the contract names is no record under another name.
        "<D><S><Id>7</Id><At>x</At></S></D>": {
            "record": "D/S/r",
            "header": {"entity": "D/S/Id", "created_at": "D/S/At"},
        },
    }.items():
        assert read(content.encode(), {"a": "a"}, **options)[0] == []  # type: ignore[arg-type]
    assert read(b"<D><S><Id>7</Id></S></D>", {"a": "a", "id": "../Id"}, record="D/S/r")[0] == []


def test_what_stands_around_the_records_is_compared_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "ROWS", 3)
    monkeypatch.setattr(xml, "BITE", 10)
    content = b"<D><H><day>20260101</day></H>" + b"<r><a>1</a></r>" * 50 + b"<T><n>50</n></T></D>"
    reader = Reader(
        io.BytesIO(content),
        XmlFile.model_validate(
            {
                "kind": "xml",
                "record": "D/r",
                "header": {"business_date": "D/H/day"},
                "trailer": {"record_count": "D/T/n"},
            }
        ),
        {"a": Column.model_validate({"type": "string", "classification": "C1/2"})},
    )
    first = next(iter(reader))
    assert (len(first), reader.header) == (3, {"business_date": "20260101"})


def test_totals_that_are_not_there_or_no_numbers_are_no_totals() -> None:
    with pytest.raises(Refused, match="has no D/T/n, which states its record_count"):
        read(b"<D><r><a>1</a></r></D>", {"a": "a"}, record="D/r", trailer={"record_count": "D/T/n"})
    _, reader = read(
        b"<D><r><a>1</a></r><T><n>x</n></T><T><n>2</n></T></D>",
        {"a": "a"},
        record="D/r",
        trailer={"record_count": "D/T/n"},
    )
    assert reader.trailer == {"record_count": "x"}  # which the comparison refuses


def test_what_stands_several_times_before_a_record_is_a_list_and_a_column_may_be_a_total_too() -> None:
    content = b"<D><S><n>1</n><B>1</B><B>2</B><r><a>x</a></r></S><S><n>1</n><r><a>y</a></r></S></D>"
    rows, reader = read(
        content, {"a": "a", "b": "../B", "n": "../n"}, record="D/S/r", trailer={"record_count": "D/S/n"}
    )
    assert rows == [(1, "x", '["1","2"]', "1"), (1, "y", None, "1")]
    assert reader.trailer == {"record_count": "2"}


@pytest.mark.parametrize(
    "begin",
    ['<!DOCTYPE a SYSTEM "file:///etc/passwd">', '<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;">]>'],
    ids=["external", "entities"],
)
def test_document_types_are_refused(begin: str) -> None:
    with pytest.raises(Refused, match="Line 1 declares a document type"):
        read(f"{begin}<a><b>x</b></a>".encode(), {"t": "x"}, record="a/b")


def test_a_forbidden_element_is_found_wherever_it_stands() -> None:
    deep = "<a>" + "<b><c>1</c></b>" * 5000 + "<b><cvv2>123</cvv2></b></a>"
    with pytest.raises(ForbiddenColumn, match="The column cvv2 in line 1"):
        read(deep.encode(), {"c": "c"}, record="a/b")
    # And before a byte is kept, where it stands at the beginning.
    names = column_names(io.BytesIO(b"<x:a><b pin='1'>"), XmlFile.model_validate({"kind": "xml", "record": "a/b"}))
    assert names == ["a", "b", "pin"]


def test_a_path_that_leads_out_is_a_mistake_of_the_contract() -> None:
    with pytest.raises(ValueError, match="leads out of the document"):
        XmlFile.model_validate({"kind": "xml", "record": "a/b"}).path("../../../c")


def test_memory_does_not_grow_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    # Of everything that is held at once a little, so that a small file is a long one.
    for module, held, much in ((text, "BLOCK", 16 << 10), (xml, "BITE", 4 << 10), (xml, "ROWS", 1_000)):
        monkeypatch.setattr(module, held, much)
    row = b'<Ntry><Amt Ccy="CNY">1.00</Amt></Ntry>'
    shape = XmlFile.model_validate({"kind": "xml", "record": "D/S/Ntry"})
    columns = {"amount": Column.model_validate({"type": "string", "classification": "C1/2", "from": "Amt"})}
    peaks = []
    for number in (1, 2_500, 7_500):  # the first one loads what is loaded once
        stream = io.BytesIO(b"<D><S>" + row * number + b"</S></D>")
        tracemalloc.start()
        total = sum(len(part) for part in Reader(stream, shape, columns))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == number
    assert peaks[2] < 1.5 * peaks[1]
