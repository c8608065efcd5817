"""Text that somebody decoded with the wrong table before it was sent: every byte of it decodes, and it means nothing.

A column whose contract says `text:` is looked at here, before a name becomes a token. What is found is one word beside the row (`<column>_garbled`), by
which a rule rejects it; the text itself is never repaired, for only its sender knows what it was. Ordinary text is never meant: names with any dot, rare
characters of any plane, Latin letters, digits and marks are all right, and so are kana where the contract says that the text may be Japanese.
"""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.records import Rows
from jobs.contracts.column import GARBLED
from jobs.contracts.model import Table

# Hiragana, katakana and half-width katakana, without the middle dots, which stand in names of minorities; and bopomofo.
KANA = re.compile("[\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f]|[\u3105-\u312f\u31a0-\u31bf]")
# The replacement character, private use (those that have a character of their own were given it before), control characters of Latin-1, noncharacters.
LOST = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010fffd\u0080-\u0084\u0086-\u009f\ufdd0-\ufdef\ufffe\uffff]")
# Fillers of uninitialised memory, and the replacement character in UTF-8 read as GBK (锟斤拷).
FILLERS = re.compile("锟斤|斤拷|锟届|烫烫|屯屯屯|葺葺葺")
# UTF-8 read as Latin-1 or Windows-1252 (å¼\xa0ä¸‰), and GBK read so (ÕÅÈý): letters with marks that follow each other as in no word.
CONTINUED = "\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸŽ€"
AS_LATIN = re.compile(f"[à-ï][{CONTINUED}]{{2}}|[Â-ÖØ-ß][{CONTINUED}]|(?=[¡-ÿ]{{0,2}}[À-ÖØ-öø-ÿ])[¡-ÿ]{{4}}")
# The sound of a character that the sender's table did not have, after or before other Chinese: 朱[róng]基, 李(zhe2).
SYLLABLE = (
    "(?:[bpmfdtnlgkhjqxrzcsyw]|[zcs]h)?"
    "(?:[aāáǎàeēéěèoōóǒò]|[aāáǎàeēéěè]i|[aāáǎà]o|[oōóǒò]u|[aāáǎàeēéěè]ng?|[oōóǒò]ng|[eēéěè]r|"
    "[iīíǐì]|i[aāáǎàeēéěè]|i[aāáǎà]o|i[uūúǔù]|[iīíǐì]ng?|i[aāáǎà]ng?|i[oōóǒò]ng|"
    "[uūúǔùüǖǘǚǜv]|u[aāáǎàoōóǒò]|u[aāáǎà]i|u[iīíǐì]|u[aāáǎà]ng?|[uūúǔù]n|[uüv][eēéěè])"
)
HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
GLOSS = re.compile(
    f"(?<=[{HAN}])[(（\\[［〔【](?=\\w\\w){SYLLABLE}[1-5]?[)）\\]］〕】]|[\\[［〔【]{SYLLABLE}[1-5]?[\\]］〕】](?=[{HAN}])"
    f"|(?<=[{HAN}])[a-z]*[āǎēěīǐōǒūǔǖǘǚǜ][a-z]*(?![a-z])"
)
NOT_ASCII = re.compile("[^\x00-\x7f]{3,}")
CHINESE = re.compile(f"[{HAN}]")


def look_for_garbled(rows: Rows, table: Table, notes: Counter[str]) -> None:
    """Fills `rows.facts` for the columns that say `text`: a word of GARBLED, null where nothing is wrong. Notes how many rows of each."""
    for name, column in table.columns.items():
        if column.text is None:
            continue
        values = rows.columns[name]
        rows.facts[f"{name}_garbled"] = found = _found(values, kana=column.text == "chinese_or_japanese")
        for counted in pc.value_counts(found.drop_null()).to_pylist():
            notes[f"rows whose {name} has {GARBLED[counted['values']]} ({counted['values']})"] += counted["counts"]


def _found(values: pa.Array, *, kana: bool) -> pa.Array:
    if pc.all(pc.string_is_ascii(values), min_count=0).as_py():
        return pa.nulls(len(values), pa.string())
    distinct = pc.dictionary_encode(values)
    faults = [None if text.isascii() else fault_of(text, kana=kana) for text in distinct.dictionary.to_pylist()]
    return pa.array(faults, pa.string()).take(distinct.indices)


def fault_of(text: str, *, kana: bool = False) -> str | None:
    """What is wrong with a Chinese text, a word of GARBLED; None for nothing. `kana`: it may be Japanese."""
    if LOST.search(text):
        return "lost_character"
    if FILLERS.search(text) or AS_LATIN.search(text) or any(_was_utf8(run) for run in NOT_ASCII.findall(text)):
        return "wrong_table"
    if not kana and KANA.search(text):
        return "kana"
    return "pinyin_gloss" if GLOSS.search(text) else None


def _was_utf8(text: str) -> bool:
    """Do the characters' bytes in GBK spell common Chinese in UTF-8, while as they stand some of them are rare? 张三 in UTF-8, read as GBK, is 寮犱笁."""
    try:
        data = text.encode("gbk")
    except UnicodeEncodeError:
        return False
    if not (0xE2 <= data[0] <= 0xEF and data[1] <= 0xBF):
        return False  # the first character would be none of three bytes
    # A character may be cut where the run ends.
    whole = data[: len(data) - len(data) % 3]
    try:
        meant = whole.decode("utf-8")
        meant.encode("gb2312")
    except UnicodeError:
        return False
    return len(meant) * 3 == len(whole) and bool(CHINESE.search(meant)) and not _is_common(text)


def _is_common(text: str) -> bool:
    """Of the 6,763 characters of GB 2312 alone."""
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
