"""A8: text that was decoded with the wrong table before it was sent is found, named and rejected; ordinary text is not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival.garbled import fault_of, look_for_garbled
from jobs.arrival.records import Rows
from jobs.contracts.column import Column
from jobs.contracts.errors import Wrong
from jobs.contracts.model import Table
from jobs.demo_bank.people import AWKWARD, GIVEN, SURNAMES, UYGHUR
from tests.arrival.conftest import DAY, MOVEMENTS, PLAIN, TABLES, Bank, bronze, movements

GARBLED = {
    "；ヂ": "kana",  # 。互 in GBK, one byte lost
    "青山ﾃﾞｰﾀ公司": "kana",
    "王ㄨ": "kana",
    "王\ufffd": "lost_character",
    "王\ue123": "lost_character",
    "\U000f0041": "lost_character",
    "锟斤拷锟斤拷": "wrong_table",
    "烫烫烫烫": "wrong_table",
    "寮犱笁": "wrong_table",  # 张三 in UTF-8 read as GBK
    "鍦ㄧ嚎": "wrong_table",
    "å¼\xa0ä¸‰": "wrong_table",
    "ÕÅÈý": "wrong_table",
    "JosÃ©": "wrong_table",
    "朱[róng]基": "pinyin_gloss",
    "朱（rong2）基": "pinyin_gloss",
    "〔xìng〕福": "pinyin_gloss",
    "李wěi": "pinyin_gloss",
}
RIGHT = [
    "张三", "喆堃珺", "𠮷田", "㛃", "﨑", "〇", "誠信運費錦旗", "联通", "锛", "阿依古丽·买买提", "阿依古丽・买买提", "阿依古丽･买买提", "迪丽热巴•迪力木拉提",
    "北京ABC(中国)有限公司", "北京Café有限公司", "电子(e)商务", "小米mi4手机", "青山12号贸易有限公司", "１２３，余额…", "“工资”—十月", "100％", "№1℃", "尺寸2×“大”", "····",
    "François Müller", "wages", "", "ཏེན་འཛིན",
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), GARBLED.items(), ids=[ascii(t) for t in GARBLED])
def test_what_a_wrong_table_makes_of_a_text_is_named(text: str, fault: str) -> None:
    assert fault_of(text) == fault


@pytest.mark.parametrize("text", RIGHT, ids=ascii)
def test_ordinary_text_is_never_meant(text: str) -> None:
    assert fault_of(text) is None


def test_utf8_read_as_gbk_and_what_it_is_made_from() -> None:
    """The two halves of the same proof, over all the demo bank's ways to make a name: none is meant, nearly all are found once they are spoilt."""
    names = [a + b + c for a in SURNAMES[:40] for b in AWKWARD + GIVEN[:10] for c in GIVEN[:12]]
    assert [name for name in [*names, *UYGHUR] if fault_of(name)] == []
    spoilt = [name.encode().decode("gbk", "replace") for name in names]
    assert sum(fault_of(name) is not None for name in spoilt) > 0.99 * len(names)


@given(
    st.text(st.characters(codec="gb2312", categories=["Lo"], max_codepoint=0x9FFF, min_codepoint=0x4E00), max_size=12)
)
def test_characters_of_gb2312_are_never_meant(text: str) -> None:
    assert fault_of(text) is None or any(
        filler in text for filler in ("锟斤", "斤拷", "锟届", "烫烫", "屯屯屯", "葺葺葺")
    )


def test_kana_are_right_where_the_contract_says_so() -> None:
    assert fault_of("株式会社トヨタ") == "kana"
    assert fault_of("株式会社トヨタ", kana=True) is None
    assert fault_of("株式会社\ufffd", kana=True) == "lost_character"


def table(**remark: Any) -> Table:
    return bronze("movements", ["journal_no"], MOVEMENTS | {"remark": ["string", {**PLAIN, **remark}]}, money="amount")


def test_each_row_is_told_and_its_kinds_are_counted() -> None:
    rows = Rows(pa.array([1, 2, 3, 4]), {n: pa.nulls(4, pa.string()) for n in MOVEMENTS})
    rows.columns["remark"] = pa.array(["工资", "；ヂ", None, "；ヂ"])
    notes: Counter[str] = Counter()
    look_for_garbled(rows, table(text="chinese"), notes)
    assert rows.facts["remark_garbled"].to_pylist() == [None, "kana", None, "kana"]
    assert notes == Counter({"rows whose remark has Japanese syllables or bopomofo (kana)": 2})


def test_a_garbled_remark_and_a_garbled_name_stand_beside_their_rows(bank: Bank) -> None:
    """The name is a token in `rows`: what was wrong with it must be known all the same."""
    bank.catalog.tables["bronze.movements"] = table(text="chinese")
    customers = next(t for t in TABLES if t.name == "customers")
    named = {**customers.columns, "name": customers.columns["name"].model_copy(update={"text": "chinese"})}
    bank.catalog.tables["bronze.customers"] = customers.model_copy(update={"columns": named})
    bank.send("movements", movements(("1", "1.00", "；ヂ"), ("2", "2.00", "工资")), f"CORE_b01_TXN_{DAY}_1.txt")
    people = f"H|core|b01|{DAY}|x\nb01|+|c1|+|朱[róng]基|+||+|\nb01|+|c2|+|朱镕基|+||+|\nT|2|\n"
    bank.send("customers", people.encode("gb18030"), f"CORE_b01_CUS_{DAY}_1.txt")
    landed = {one.feed: one for one in bank.land()}
    assert [(r["remark"], r["remark_garbled"]) for r in bank.rows(landed["movements"])] == [
        ("；ヂ", "kana"),
        ("工资", None),
    ]
    assert [r["name_garbled"] for r in bank.rows(landed["customers"])] == ["pinyin_gloss", None]
    assert "name" not in bank.rows(landed["customers"])[0]
    assert "rows whose name has the sound of a character in its place (pinyin_gloss)" in str(landed["customers"].reason)


def test_the_rule_that_follows_from_the_word() -> None:
    (rule,) = [r for r in table(text="chinese").all_rules if r.id == "remark_legible"]
    assert (rule.on_fail, rule.columns) == ("quarantine", ["remark_garbled"])
    assert "Japanese syllables" in rule.description
    (rule,) = [r for r in table(text="chinese_or_japanese").all_rules if r.id == "remark_legible"]
    assert "Japanese syllables" not in rule.description
    assert not [r for r in table().all_rules if "legible" in r.id]


def test_a_garbled_row_is_rejected_and_another_is_not(spark: Any) -> None:
    from jobs.quality.verdicts import judge, row_hash

    columns = list(table(text="chinese").physical_columns)
    given = [
        {"branch_id": "b01", "journal_no": "1", "remark": "工资"},
        {"branch_id": "b01", "journal_no": "2", "remark": "；ヂ", "remark_garbled": "kana"},
    ]
    rows = spark.createDataFrame(
        [tuple(r.get(c) for c in columns) for r in given], ", ".join(f"{c} string" for c in columns)
    )
    rules = [r for r in table(text="chinese").all_rules if r.id == "remark_legible"]
    judged = judge(rows.withColumn("__row_hash", row_hash(columns)), rules, within=[], order=["journal_no"])
    found = {r["journal_no"]: (r["__verdict"], r["__reasons"]) for r in judged.collect()}
    assert found == {"1": ("accepted", []), "2": ("rejected", ["remark_legible"])}


def test_a_phone_number_is_in_no_language() -> None:
    with pytest.raises(ValueError, match="text says in which language"):
        Column.model_validate({"type": "string", "classification": "C2/3", "identifies": "phone", "text": "chinese"})
    silver = {
        "table": "silver.movements",
        "primaryKey": ["a"],
        "history": "fact",
        "columns": {"a": ["string", {**PLAIN, "text": "chinese"}]},
    }
    words = {"version": "1.0.0", "description": "d", "grain": "g", "owner": "o", "steward": "s"}
    with pytest.raises((Wrong, ValueError), match="only bronze reads text"):
        Table.model_validate(silver | words)
