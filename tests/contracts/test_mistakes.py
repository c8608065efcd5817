"""Every kind of mistake that reading the contracts finds, each named with its file and line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contracts import ContractError, load
from jobs.contracts.catalog import check
from tests.contracts.house import FILES, KPI, build, change, checked, corrections, mistakes, only


def test_the_bank_without_a_mistake_is_read(root: Path) -> None:
    catalog = load("tiny", root)
    assert [t.table for t in catalog.build_order()] == ["silver.movements", "gold.daily"]
    assert [t.table for t in catalog.feeding("silver.movements")] == ["bronze.payments"]


# (file, what stands there, what is put in its place, words of the message). The line told must be that of the change.
IN_ONE_FILE = {
    "duplicate key": ("bronze/payments.yaml", "money: amount\n", "money: amount\nmoney: amount\n", "`money` is given twice"),
    "on is a boolean": ("bronze/payments.yaml", "unit: CNY", "unit: on", "`on` would be read as true or false"),
    "no is a boolean": ("silver/movements.yaml", "grain: one movement", "grain: no", "`no` would be read as true or false"),
    "05:30 is a number": ("gold/daily.yaml", 'readyBy: "05:30"', "readyBy: 05:30", "`05:30` would be read as a number in base sixty"),
    "no time of day": ("gold/daily.yaml", 'readyBy: "05:30"', 'readyBy: "25:30"', "25:30 is not a time of day"),
    "not YAML": ("gold/daily.yaml", "reads: [silver.movements]", "reads: [silver.movements", "not readable as YAML"),
    "unknown key": ("silver/movements.yaml", "steward: accounting", "steward: accounting\nhistroy: fact", "unknown key histroy"),
    "key of the Python field": ("bronze/payments.yaml", "primaryKey:", "primary_key:", "unknown key primary_key"),
    "misspelt key": ("silver/movements.yaml", "steward: accounting", "stewrad: accounting", "unknown key stewrad"),
    "misspelt key in a column": ("bronze/rates.yaml", "[string!, {classification: C1/1}]", "[string!, {clasification: C1/1}]", "unknown key columns.currency.clasification"),
    "unknown key in a column": ("bronze/payments.yaml", "unit: CNY", "unti: CNY", "unknown key columns.amount.unti"),
    "unknown key in a rule": ("bronze/payments.yaml", "id: not_empty,", "id: not_empty, severity: high,", "unknown key rules.1.severity"),
    "unknown key in a format": ("sources/tiny/payments.yaml", 'separator: "|"', 'seperator: "|"', "unknown key format.delimited.seperator"),
    "unknown encoding": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", encoding: gbkk', "there is no encoding gbkk. Did you mean gbk?"),
    "an encoding that arrival does not read": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", encoding: shift_jis', "there is no encoding shift_jis"),
    "a separator that the encoding does not have": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "¦;¦", encoding: big5', "'¦;¦' cannot stand in a file, for big5 has no ¦. Declare the encoding that the sender writes"),
    "a separator that a wider encoding has": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "¦;¦", encoding: gbk', "gbk has no ¦ (gb18030 has it)"),
    "a quote that the encoding does not have": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", quote: "“", encoding: ascii', "ascii has no “"),
    "a comment that the encoding does not have": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", comment: "注", encoding: cp1252', "cp1252 has no 注"),
    "a tag that the encoding does not have": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", encoding: big5, trailer: {tag: "碁", fields: [record_count]}', "big5 has no 碁 (cp950 and big5hkscs have it)"),
    "a tag of fixed width that the encoding does not have": ("sources/tiny/payments.yaml", 'format: {kind: delimited, separator: "|"}', 'format: {kind: fixed_width, encoding: big5, header: {tag: "碁", fields: [entity]}}', "big5 has no 碁"),
    "a separator with a line end": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|\\n"', "holds a line end, which ends the record"),
    "an escape that is text": ("sources/tiny/payments.yaml", 'separator: "|"', "separator: '\\t'", 'not the character that \\t means. Write it in double quotes, "\\t"'),
    "an escape that is text, of a quote": ("sources/tiny/payments.yaml", 'separator: "|"', "quote: '\\x22'", 'Write it in double quotes, "\\x22"'),
    "a quote of two characters": ("sources/tiny/payments.yaml", 'separator: "|"', "quote: '\"\"'", "is no quote: one character of ASCII stands before and behind"),
    "a quote that is nothing": ("sources/tiny/payments.yaml", 'separator: "|"', 'quote: ""', "'' is no quote"),
    "a quote beyond ASCII": ("sources/tiny/payments.yaml", 'separator: "|"', 'quote: "“"', "'“' is no quote"),
    "a separator that is the quote": ("sources/tiny/payments.yaml", 'separator: "|"', "separator: '\"', quote: '\"'", "stands in the separator"),
    "a quote in the separator": ("sources/tiny/payments.yaml", 'separator: "|"', "separator: '\",\"', quote: '\"'", "stands in the separator"),
    "one tag for both ends": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", header: {tag: R, fields: [entity]}, trailer: {tag: R, fields: [record_count]}', "header and trailer have the same tag R"),
    "fixed width without line ends": ("sources/tiny/payments.yaml", 'format: {kind: delimited, separator: "|"}', 'format: {kind: fixed_width, encoding: utf-16}', "lines of utf-16 do not end with the byte 0A"),
    "misspelt field of a trailer": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [record_cnt]}', "Did you mean record_count?"),
    "shortened field of a trailer": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [rec_cnt]}', "field rec_cnt is compared with nothing. Did you mean record_count?"),
    "field of a trailer in capitals": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [RECORD_COUNT]}', "Did you mean record_count?"),
    "misspelt name in the trailer of XML": ("sources/tiny/payments.yaml", 'format: {kind: delimited, separator: "|"}', "format:\n  kind: xml\n  record: A/B\n  trailer:\n    record_count: A/C\n    amout_sum: A/D", "amout_sum is compared with nothing"),
    "unknown name in the header of XML": ("sources/tiny/payments.yaml", 'format: {kind: delimited, separator: "|"}', "format:\n  kind: xml\n  record: A/B\n  header:\n    remark: A/C", "remark is compared with nothing"),
    "misspelt name in the header of a copybook": ("sources/tiny/payments.yaml", 'format: {kind: delimited, separator: "|"}', "format:\n  kind: copybook\n  copybook: tiny.cpy\n  records: rdw\n  segment: {field: kind, groups: {H: head}}\n  header: {segment: H, fields: {entty: who}}", "entty is compared with nothing"),
    "widths beside a separator": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [record_count], widths: [8]}', "widths are of fixed_width"),
    "a width too few": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [record_count, amount_sum], widths: [8]}', "1 widths for 2 fields"),
    "how a sum is written that nobody states": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [record_count], parse: implied(2)}', "there is no such field"),
    "a sum written as nobody writes": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [amount_sum], parse: fen}', "fen is not a way to write"),
    "unknown format": ("sources/tiny/payments.yaml", "kind: delimited", "kind: excel", "format"),
    "missing classification": ("bronze/rates.yaml", "[string!, {classification: C1/1}]", "[string!]", "columns.currency.classification is missing"),
    "wrong classification": ("bronze/rates.yaml", "[string!, {classification: C1/1}]", "[string!, {classification: secret}]", "secret is not category/level"),
    "float": ("bronze/rates.yaml", '"decimal(18,6)!"', "float!", "float cannot hold money or keys exactly"),
    "unknown type": ("bronze/rates.yaml", '"decimal(18,6)!"', "money!", "unknown type money"),
    "decimal of too many digits": ("bronze/rates.yaml", '"decimal(18,6)!"', '"decimal(40,6)!"', "decimal(40,6) is no decimal: at most 38 digits"),
    "decimal of more decimals than digits": ("bronze/rates.yaml", '"decimal(18,6)!"', '"decimal(4,6)!"', "decimal(4,6) is no decimal"),
    "list in a file": ("bronze/rates.yaml", '"decimal(18,6)!"', '"array<string>"', "rate: bronze cannot read text as array<string>"),
    "parse of another type": ("bronze/payments.yaml", "unit: CNY", "unit: CNY, parse: yyyyMMdd", "columns.amount.parse: yyyyMMdd is not a way to write decimal(18,2)"),
    "parse of too many decimals": ("bronze/payments.yaml", "unit: CNY", "unit: CNY, parse: implied(3)", "implied(3) gives more decimals than decimal(18,2) holds"),
    "parse of an identifier": ("bronze/clicks.yaml", "classification: C1/2", "classification: C2/3, identifies: phone, parse: null(0)", "an identifying column has no parse"),
    "parse beyond bronze": ("gold/daily.yaml", "business_date: [date!, {classification: C1/1}]", "business_date: [date!, {classification: C1/1, parse: yyyyMMdd}]", "only bronze reads text"),
    "money that cannot be summed": ("silver/movements.yaml", "money: amount", "money: movement_id", "money movement_id is of type string"),
    "column is no list": ("bronze/rates.yaml", "[string!, {classification: C1/1}]", "{type: string}", "a column is `[type, {options}]`"),
    "decimal without quotes": ("bronze/rates.yaml", '"decimal(18,6)!"', "decimal(18,6)!", 'the comma in decimal(18,6)! splits the type in two: put it in quotes, ["decimal(18,6)!", {...}]'),
    "type among the options": ("bronze/clicks.yaml", "classification: C1/2", "classification: C1/2, required: true", "required stands before the options"),
    "reserved column name": ("bronze/clicks.yaml", "  click_id: [", "  __click_id: [", "reserved for the machinery"),
    "column name": ("bronze/clicks.yaml", "  click_id: [", "  clickId: [", "column clickId is not snake_case"),
    "list without $": ("bronze/payments.yaml", "enum: $directions", "enum: directions", "enum directions is neither a list of values"),
    "unknown identifier": ("bronze/clicks.yaml", "classification: C1/2", "classification: C1/2, identifies: passport", "unknown kind of identifier passport"),
    "derivation": ("bronze/clicks.yaml", "classification: C1/2", "classification: C2/3, identifies: phone, derive: [gender]", "a phone has no gender"),
    "address": ("gold/daily.yaml", "table: gold.daily", "table: golden.daily", "golden.daily is not layer.table"),
    "history": ("gold/daily.yaml", "history: fact", "history: scd3", "history"),
    "rule on an unknown column": ("bronze/payments.yaml", "{column: amount, min_value: 0}", "{column: amuont, min_value: 0}", "rule amount_positive names amuont"),
    "quarantine by a table rule": ("bronze/payments.yaml", "id: not_empty, onFail: warn", "id: not_empty, onFail: quarantine", "cannot quarantine rows"),
    "onFail": ("bronze/payments.yaml", "onFail: warn", "onFail: ignore", "onFail ignore is not one of"),
    "unknown expectation": ("bronze/payments.yaml", "expect_table_row_count_to_be_between", "expect_table_to_be_good", "unknown expectation expect_table_to_be_good"),
    "rule without expectation": ("bronze/payments.yaml", ", expect_table_row_count_to_be_between: {min_value: 1}", "", "exactly one expect_... key"),
    "misspelt kwarg": ("bronze/payments.yaml", "{min_value: 1}", "{min_valu: 1}", "takes no min_valu"),
    "rule without a bound": ("bronze/payments.yaml", "{column: amount, min_value: 0}", "{column: amount}", "without a bound it checks nothing"),
    "rule without its column": ("bronze/payments.yaml", "{column: amount, min_value: 0}", "{min_value: 0}", "needs column"),
    "tolerance of a quarantine": ("bronze/payments.yaml", "min_value: 0}", "min_value: 0, mostly: 0.9}", "mostly tolerates bad rows"),
    "an open bracket in a regex": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^(\\d{4}$'}}\n", 'regex ^(\\d{4}$ cannot be read at its character 2: the bracket ( is not closed'),
    "an open set in a regex": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^[a-z$'}}\n", 'cannot be read at its character 2: the bracket [ is not closed'),
    "a bracket too many in a regex": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^\\d{4})$'}}\n", 'cannot be read at its character 7: no bracket is open'),
    "a regex of Python": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^(?P<year>\\d{4})$'}}\n", "character 2: (?P<year> is Python's and not Java's, which writes (?<year>"),
    "a reference of a regex of Python": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^(?<x>a)(?P=x)$'}}\n", 'which writes \\k<x>'),
    "a condition in a regex": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^(a)?(?(1)b|c)$'}}\n", 'character 6: (?( begins no group that Java knows'),
    "a regex that repeats nothing": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^a+*$'}}\n", 'character 4: * repeats nothing'),
    "a number of times that is none": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^a{,3}$'}}\n", 'character 3: { says no number of times'),
    "an escape that Java does not have": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^\\y$'}}\n", '\\y means nothing in Java'),
    "a script without Is": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^\\p{Han}+$'}}\n", 'it writes \\p{IsHan}'),
    "a range of characters upside down": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: '^[z-a]$'}}\n", 'z-a is no range'),
    "a regex that is a number": ("bronze/payments.yaml", "rules:\n", "rules:\n  - {id: form, onFail: warn, expect_column_values_to_match_regex: {column: direction, regex: 7}}\n", 'regex 7 is no text'),
    "usual rows of a day": ("gold/daily.yaml", "sla: {", "rules:\n  - {id: many, onFail: warn, expect_table_row_count_to_be_between: {min_value: 0.5 * usual_rows}}\nsla: {", "min_value is told in usual_rows, which deliveries have, and gold.daily is judged by business day"),
    "silence of what is owed": ("sources/tiny/rates.yaml", "kind: snapshot", "kind: snapshot\nschedule: {quietFor: 1h}", "quietFor is for streams, which nobody owes, and the sender is head_office"),
    "silence without a unit": ("sources/tiny/clicks.yaml", "kind: events", "kind: events\nschedule: {required: false, quietFor: 60}", "schedule.quietFor"),
    "hours of no day": ("sources/tiny/clicks.yaml", "kind: events", 'kind: events\nschedule: {required: false, quietFor: 1h, activeHours: "22:00-06:00"}', "22:00-06:00 are no hours of one day"),
    "hours without silence": ("sources/tiny/clicks.yaml", "kind: events", 'kind: events\nschedule: {required: false, activeHours: "08:00-22:00"}', "say with quietFor how long it may be"),
    "owed by nobody": ("sources/tiny/clicks.yaml", "kind: events", "kind: events\nschedule: {required: false, owed: true}", "a stream is owed by nobody"),
    "due before its cut-off": ("sources/tiny/payments.yaml", 'due: "22:30"', 'due: "01:00"', "due 01:00 is before the cut-off 17:30: of the day after the business date write day: 1"),
    "required and not owed": ("sources/tiny/payments.yaml", 'due: "22:30"', 'due: "22:30", owed: false', "waits for what is required, so somebody owes it"),
    "required once a month": ("sources/tiny/payments.yaml", 'due: "22:30"', 'due: "22:30", workingDay: 5', "what comes once a month holds no business day open"),
    "entities of branches": ("sources/tiny/payments.yaml", 'due: "22:30"', 'due: "22:30", entities: [b07]', "entities name who sends a feed in the place of head office"),
    "rule id twice": ("bronze/payments.yaml", "id: not_empty", "id: amount_positive", "rule id amount_positive is given twice"),
    "primary key": ("gold/daily.yaml", "primaryKey: [business_date]", "primaryKey: [day]", "primaryKey names day"),
    "money": ("silver/movements.yaml", "money: amount", "money: sum", "money names sum"),
    "bronze reads nothing": ("bronze/rates.yaml", "history: append", "history: append\nreads: [silver.movements]", "a bronze table reads deliveries only"),
    "pattern without a date": ("sources/tiny/rates.yaml", "RATE_{entity}_{date}.csv", "RATE_{entity}.csv", "needs {date}"),
    "one language": ("profiles/tiny.yaml", "title: {en: Tiny Bank, zh: 小银行}", "title: {en: Tiny Bank}", "there is no text for zh"),
    "12:30 is a number": ("gold/daily.yaml", 'readyBy: "05:30"', "readyBy: 12:30", "`12:30` would be read as a number in base sixty"),
    "zone": ("profiles/tiny.yaml", "zone: Asia/Shanghai", "zone: Asia/Peking", "Asia/Peking is not a time zone"),
    "list with neither values nor map": ("reference/colours.yaml", "values: [red, green]", "values: []", "either values or a map"),
}  # fmt: skip

# Lines between the change and where it is told: the block, the file, or the place where YAML gives up.
OFF = {"usual rows of a day": -1, "list with neither values nor map": -3, "not YAML": 1, "conforms without a required column": -4, "conforms with a column too many": 1, "trailer sum of a text": 1}  # fmt: skip


@pytest.mark.parametrize("case", IN_ONE_FILE)
def test_a_mistake_in_one_file_is_told_with_its_line(root: Path, case: str) -> None:
    name, before, after, words = IN_ONE_FILE[case]
    line = change(root, name, before, after)
    added = after.rstrip("\n").count("\n") - before.rstrip("\n").count("\n")
    found = mistakes(root)
    at = [m for m in found if words in m.found]
    assert at, [str(m) for m in found]
    assert at[0].file == root / name
    assert at[0].line == line + added + OFF.get(case, 0), str(at[0])
    assert at[0].remedy


# The same for mistakes that only show between files.
BETWEEN_FILES = {
    "unknown table read": ("gold/daily.yaml", "reads: [silver.movements]", "reads: [silver.movments]", "reads silver.movments, which has no contract", "Did you mean silver.movements?"),
    "later layer": ("silver/movements.yaml", "reads: [incoming]", "reads: [incoming, gold.daily]", "reads gold.daily of a later layer", "Read only the same or earlier layers"),
    "conforms to nothing": ("bronze/payments.yaml", "  silver.movements:", "  silver.movment:", "conforms to silver.movment, which has no contract", "Did you mean silver.movements?"),
    "conforms without a required column": ("bronze/payments.yaml", "      amount: amount\n", "", "silver.movements needs amount", "Add an expression for amount"),
    "conforms with a column too many": ("bronze/payments.yaml", "      amount: amount\n", "      amount: amount\n      fee: amount\n", "silver.movements takes no fee", "It takes: movement_id"),
    "conforms with a misspelt column": ("bronze/payments.yaml", "      amount: amount\n", "      amuont: amount\n", "silver.movements takes no amuont", "Did you mean amount?"),
    "missing code map": ("bronze/payments.yaml", "map_code(directions, direction)", "map_code(direction, direction)", "code map direction does not exist", "Did you mean directions?"),
    "code map without codes": ("bronze/payments.yaml", "map_code(directions, direction)", "map_code(colours, direction)", "colours is a list of values, not a code map", "Use a reference with a `map:`"),
    "missing reference list": ("bronze/payments.yaml", "enum: $directions", "enum: $sides", "reference list $sides does not exist", "Write expectations/reference/sides.yaml"),
    "missing calendar": ("gold/daily.yaml", "calendar: work", "calendar: lunar", "there is no calendar lunar", "Known: every_day, work"),
    "trailer sum": ("sources/tiny/payments.yaml", "control: {sum: amount}", "control: {sum: total}", "the trailer's sum is of total, not a column of bronze.payments", "Correct the name"),
    "trailer sum of another column": ("sources/tiny/payments.yaml", "control: {sum: amount}", "control: {sum: direction}", "the trailer's sum is of direction, and bronze.payments balances amount", "Name the same column in both"),
    "no entity of rows": ("sources/tiny/payments.yaml", "control: {sum: amount}", "control: {sum: amount, entity: directon}", "entity is read in directon, not a column of bronze.payments", "Did you mean direction"),
    "date of rows that is none": ("sources/tiny/payments.yaml", "control: {sum: amount}", "control: {sum: amount, businessDate: direction}", "businessDate is read in direction, which is string", "Name a column of type date"),
    "trailer sum of a text": ("sources/tiny/rates.yaml", "kind: snapshot", "kind: snapshot\ncontrol: {sum: currency}", "the trailer's sum is of currency, which is of type string", "decimal(18,2)"),
    "a stated sum that nothing is compared with": ("sources/tiny/payments.yaml", 'separator: "|"}\ncontrol: {sum: amount}\n', 'separator: "|", trailer: {tag: T, fields: [record_count, amount_sum]}}\n', "the trailer states amount_sum, and no column is added up that it could be compared with", "Write control: {sum: amount}"),
    "the same in a format of names": ("sources/tiny/rates.yaml", "format: {kind: delimited}", "format: {kind: xml, record: A/B, trailer: {amount_sum: A/C}}", "the trailer states amount_sum, and no column is added up", "Write control: {sum: the column that it is the sum of}"),
    "a sum in the header": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", header: {tag: H, fields: [entity, amount_sum]}', "amount_sum of the header is compared with nothing: it is read in the trailer", "Declare the trailer that says it"),
    "an entity in the trailer": ("sources/tiny/payments.yaml", 'separator: "|"', 'separator: "|", trailer: {tag: T, fields: [entity, record_count]}', "entity of the trailer is compared with nothing: it is read in the header", "Give the field another name"),
    "file and table": ("gold/daily.yaml", "table: gold.daily", "table: gold.weekly", "gold.weekly stands in gold/daily.yaml", "Move it to gold/weekly.yaml"),
    "dates of a stream without reach": ("bronze/clicks.yaml", "  click_id: [string!, {classification: C1/2}]\n", "  business_date: [date!, {classification: C1/2}]\n  click_id: [string!, {classification: C1/2}]\n", "one row of 1970 opens a day of its own", "Write reach: {back: 400, ahead: 1}"),
    "references": ("gold/daily.yaml", "  amount:        [\"decimal(18,2)!\", {classification: C1/2}]", "  amount:        [\"decimal(18,2)!\", {classification: C1/2, references: silver.movements.amuont}]", "silver.movements has no amuont", "Did you mean amount?"),
}  # fmt: skip


@pytest.mark.parametrize("case", BETWEEN_FILES)
def test_a_mistake_between_files_is_told_with_its_line(root: Path, case: str) -> None:
    name, before, after, words, remedy = BETWEEN_FILES[case]
    line = change(root, name, before, after)
    found = only(root)
    assert words in found.found
    assert remedy in found.remedy
    assert found.file == root / name
    assert found.line == line + OFF.get(case, 0), str(found)


@pytest.mark.parametrize(
    ("payments", "rates", "sample"),
    [
        ("PAY_{entity}_{date}_{seq}.csv", "PAY_{entity}_{date}_{seq}.csv", "PAY_b01_20260915_1.csv"),
        ("PAY_{entity}_{date}_{seq}.csv", "{any}_{date}_{seq}.csv", "PAY_b01_20260915_1.csv"),
        ("{any}_{date}_{seq}.csv", "PAY_{entity}_{date}_{seq}.csv", "PAY_b01_20260915_1.csv"),
        ("PAY_{entity}_{date}[_{seq}].csv", "PAY_{entity}_{date}.csv", "PAY_b01_20260915.csv"),
    ],
)
def test_a_name_that_two_sources_know_is_told_with_both(root: Path, payments: str, rates: str, sample: str) -> None:
    change(root, "sources/tiny/payments.yaml", "PAY_{entity}_{date}_{seq}.csv", payments)
    line = change(root, "sources/tiny/rates.yaml", "RATE_{entity}_{date}.csv", rates)
    found = only(root)
    assert found.found == f"a file called {sample} is one of rates, and of payments in payments.yaml as well"
    assert (found.file, found.line) == (root / "sources/tiny/rates.yaml", line)
    assert "Give one of the two a pattern" in found.remedy


def test_a_circle_is_told_once_at_the_read_that_closes_it(root: Path) -> None:
    silver = (root / "silver/movements.yaml").read_text()
    (root / "silver/totals.yaml").write_text(silver.replace("silver.movements", "silver.totals"))
    change(root, "silver/movements.yaml", "reads: [incoming]", "reads: [incoming, silver.totals]")
    line = change(root, "silver/totals.yaml", "reads: [incoming]", "reads: [incoming, silver.movements]")
    found = only(root)
    assert "silver.movements -> silver.totals -> silver.movements" in found.found
    assert (found.file, found.line) == (root / "silver/totals.yaml", line)


def test_a_table_may_read_its_own_last_state(root: Path) -> None:
    change(root, "silver/movements.yaml", "reads: [incoming]", "reads: [incoming, previous]")
    load("tiny", root)


def test_a_character_that_cannot_stand_in_yaml_is_told_with_its_line(root: Path) -> None:
    line = change(root, "bronze/payments.yaml", "owner: branch accounting", "owner: branch\x1b accounting")
    found = only(root)
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)
    assert found.found == "the character U+001B cannot stand in YAML"


def test_a_fixed_width_column_needs_its_width(root: Path) -> None:
    change(root, "sources/tiny/rates.yaml", "format: {kind: delimited}", "format: {kind: fixed_width}")
    line = change(
        root,
        "bronze/rates.yaml",
        "  currency: [string!, {classification: C1/1}]",
        "  currency: [string!, {classification: C1/1, width: 3}]",
    )
    found = only(root)
    assert found.found == "rate has no width"
    assert (found.file, found.line) == (root / "bronze/rates.yaml", line + 1)


def write_kpi(root: Path, file: str, **given: str) -> None:
    (root / "kpis").mkdir(exist_ok=True)
    values = {"id": "K1", "name": file, "headline": "count_share", "table": "silver.movements"} | given
    (root / "kpis" / f"{file}.yaml").write_text(KPI.format(**values), encoding="utf-8")


def test_kpis_have_ids_names_and_headlines_of_their_own(root: Path) -> None:
    write_kpi(root, "share")
    load("tiny", root)
    write_kpi(root, "other_share", name="share", headline="share")
    write_kpi(root, "third_share")
    assert "the headline share is none of the measures count_share" in only_of(root, "other_share.yaml")
    write_kpi(root, "other_share", name="share", id="K2")
    assert "name share stands in other_share.yaml" in only_of(root, "other_share.yaml")
    assert "KPI id K1 is given twice" in only_of(root, "third_share.yaml")


def test_a_kpi_knows_the_feeds_of_its_tables(root: Path) -> None:
    write_kpi(root, "share")
    assert load("tiny", root).kpis["K1"].feeds == ["payments"]
    write_kpi(root, "share", table="gold.daily")
    assert only_of(root, "share.yaml") == "gold.daily is no table that feeds conform to"


def only_of(root: Path, name: str) -> str:
    [found] = [m for m in mistakes(root) if m.file.name == name]
    return found.found


def test_all_mistakes_are_told_at_once(root: Path) -> None:
    change(root, "bronze/payments.yaml", "unit: CNY", "unit: on")
    change(root, "gold/daily.yaml", "history: fact", "history: scd3")
    change(root, "sources/tiny/rates.yaml", "sender: head_office", "sender: somebody")
    assert {m.file.name for m in mistakes(root)} == {"payments.yaml", "daily.yaml", "rates.yaml"}


def test_a_file_with_a_mistake_is_not_said_to_be_missing_as_well(root: Path) -> None:
    change(root, "silver/movements.yaml", "history: fact", "history: facts")
    assert only(root).file == root / "silver/movements.yaml"


def test_a_table_with_several_mistakes_tells_each(root: Path) -> None:
    change(root, "bronze/payments.yaml", "primaryKey: [payment_no]", "primaryKey: [payment]")
    change(root, "bronze/payments.yaml", "{column: amount, min_value: 0}", "{column: amuont, min_value: 0}")
    assert [m.line for m in mistakes(root)] == [7, 15]


def test_the_nearest_known_key_is_offered(root: Path) -> None:
    change(root, "bronze/payments.yaml", "unit: CNY", "unti: CNY")
    assert "Did you mean unit?" in only(root).remedy
    assert "classification" in only(root).remedy


def test_an_unknown_bank_names_the_known_ones(root: Path) -> None:
    with pytest.raises(ContractError, match=r"there is no bank called giant\. Known: tiny"):
        load("giant", root)


def test_a_message_reads_as_file_line_what_and_remedy(root: Path) -> None:
    line = change(root, "gold/daily.yaml", "reads: [silver.movements]", "reads: [silver.movments]")
    assert (
        str(only(root))
        == f"{root}/gold/daily.yaml:{line}: gold.daily reads silver.movments, which has no contract. Did you mean silver.movements?"
    )


# Each of these is two mistakes: what a column is called, and what names it as it was called.
TWO = ("reserved column name", "column name")


@pytest.mark.parametrize("case", [*(case for case in IN_ONE_FILE if case not in TWO), *BETWEEN_FILES])
def test_one_mistake_is_told_once_and_nothing_that_follows_from_it(root: Path, case: str) -> None:
    name, before, after, *_ = (IN_ONE_FILE | BETWEEN_FILES)[case]
    change(root, name, before, after)
    assert len(checked(root)) == 1, [str(m) for m in checked(root)]


def test_what_is_wrong_in_a_file_between_files_and_in_sql_is_told_in_one_run(root: Path) -> None:
    change(root, "bronze/payments.yaml", "steward: accounting", "steward: off")
    change(root, "bronze/payments.yaml", "unit: CNY", "unti: CNY")
    change(root, "bronze/payments.yaml", "primaryKey: [payment_no]", "primaryKey: [payment]")
    change(root, "bronze/payments.yaml", "id: not_empty, onFail: warn", "id: not_empty, onFail: whine")
    change(root, "bronze/payments.yaml", "map_code(directions, direction)", "map_code(sides, direction)")
    change(root, "bronze/payments.yaml", "concat('$system:', payment_no)", "concat('$system:', paymnt_no)")
    change(root, "bronze/payments.yaml", "business_date: __business_date", "business_date: payment_no")
    assert sorted((m.line, m.found.partition(":")[0]) for m in checked(root)) == [
        (6, "`off` would be read as true or false"),
        (7, "primaryKey names payment, which is not a column of bronze.payments"),
        (13, "unknown key columns.amount.unti"),
        (16, "rules.1"),
        (20, "movement_id"),
        (21, "direction"),
        (23, "business_date"),
    ]


def test_a_column_that_cannot_be_read_is_wrong_nowhere_else(root: Path) -> None:
    """It is the money, the trailer's sum, what a rule asks and what silver takes."""
    line = change(root, "bronze/payments.yaml", '"decimal(18,2)!", {unit', '"decimall(18,2)!", {unit')
    [found] = checked(root)
    assert (found.line, "unknown type decimall(18,2)" in found.found) == (line, True)


def test_nor_is_what_a_column_would_become(root: Path) -> None:
    payer = "  payer:      [string, {identifes: name, classification: C3/4}]\n"
    change(root, "bronze/payments.yaml", "  direction:  [string!", f"{payer}  direction:  [string!")
    change(root, "bronze/payments.yaml", "concat('$system:', payment_no)", "payer_token")
    [found] = checked(root)
    assert "unknown key columns.payer.identifes" in found.found


def test_the_contract_of_a_source_that_cannot_be_read_is_looked_at(root: Path) -> None:
    change(root, "sources/tiny/payments.yaml", "kind: increment", "kind: increments")
    line = change(
        root, "bronze/payments.yaml", "amount: amount\n      business_date", "amount: amunt\n      business_date"
    )
    of_source, of_contract = checked(root)
    assert of_source.file == root / "sources/tiny/payments.yaml"
    assert (of_contract.found, of_contract.line) == ("amount: amunt is no column of bronze.payments", line)


def test_a_profile_that_cannot_be_read_hides_nothing(root: Path) -> None:
    change(root, "profiles/tiny.yaml", "zone: Asia/Shanghai", "zone: Asia/Peking")
    change(root, "gold/daily.yaml", "reads: [silver.movements]", "reads: [silver.movments]")
    assert [m.file.name for m in checked(root)] == ["tiny.yaml", "daily.yaml"]


def test_of_a_contract_without_its_name_nothing_is_guessed(root: Path) -> None:
    change(root, "bronze/payments.yaml", "table: bronze.payments", "tabel: bronze.payments")
    change(root, "bronze/payments.yaml", "concat('$system:', payment_no)", "concat('$system:', paymnt_no)")
    assert {m.found for m in checked(root)} == {"unknown key tabel"}


def with_corrections(root: Path) -> None:
    """The tiny bank's payments say their day, and may be corrected."""
    source = FILES["sources/tiny/payments.yaml"].replace("payments", "corrections").replace("PAY_", "COR_")
    source = source.replace("kind: increment", "kind: correction").replace("control: {sum: amount}\n", "")
    source = source.replace('{cutOff: "17:30", due: "22:30"}', "{required: false}")
    (root / "sources/tiny/corrections.yaml").write_text(source, encoding="utf-8")
    (root / "bronze/corrections.yaml").write_text(corrections("payment_no"), encoding="utf-8")
    paid = "money: amount\nbusinessDate: try_to_date(substring(payment_no, 1, 8), 'yyyyMMdd')\n"
    change(root, "bronze/payments.yaml", "money: amount\n", paid)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("onFail: warn", "onFail: whine"),
        ("unit: CNY", "unti: CNY"),
        ("{column: amount, min_value: 0}", "{column: amount, min_value: nought}"),
        ("map_code(directions", "map_code(sides"),
        ("amount: amount\n      business", "amount: amunt\n      business"),
    ],
)
def test_what_a_correction_takes_from_a_contract_is_told_there_alone(root: Path, before: str, after: str) -> None:
    with_corrections(root)
    check("tiny", root)
    line = change(root, "bronze/payments.yaml", before, after)
    [found] = checked(root)
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)


ODD = ["", "null", "3", "[]", "{}", "[[1]]", "{a: b}", "- a", "on", "12:30", "'", "map_code(x)", ": x"]


@settings(max_examples=150)
@given(st.integers(0, 10_000), st.sampled_from(ODD), st.sampled_from(["value", "line", "end"]))
def test_whatever_stands_in_a_line_it_is_read_or_told(at: int, odd: str, where: str) -> None:
    with TemporaryDirectory() as folder:
        root = build(Path(folder))
        with_corrections(root)
        files = sorted(root.rglob("*.yaml"))
        file = files[at % len(files)]
        lines = file.read_text("utf-8").splitlines()
        line = at // len(files) % len(lines)
        key = lines[line].partition(":")[0]
        lines[line] = {"value": f"{key}: {odd}", "line": odd, "end": lines[line] + odd}[where]
        file.write_text("\n".join(lines), encoding="utf-8")
        try:
            check("tiny", root)
        except ContractError as error:
            assert error.mistakes


# A file of the tiny bank, where it is moved, what is found, remedy.
PASSED_OVER = {
    "yml": ("reference/colours.yaml", "reference/colours.yml", "nobody reads a file that ends in .yml", "Call it colours.yaml"),
    "capitals": ("reference/colours.yaml", "reference/colours.YAML", "nobody reads a file that ends in .YAML", "Call it colours.yaml"),
    "a source of a bank, as yml": ("reference/colours.yaml", "sources/tiny/colours.yml", "nobody reads a file that ends in .yml", "Call it colours.yaml"),
    "a source of no bank's folder": ("reference/colours.yaml", "sources/colours.yaml", "nobody reads a file that stands here", "Put it in its bank's folder: sources/tiny/"),
    "a source of a bank that is not": ("reference/colours.yaml", "sources/tny/colours.yaml", "this file is of no bank: there is no profiles/tny.yaml, and nobody reads it", "Did you mean tiny?"),
    "a folder of its own": ("reference/colours.yaml", "bronze/cards/colours.yaml", "nobody reads a file that stands here", "Put it where it is read: bronze/ or gold/"),
    "no folder": ("reference/colours.yaml", "colours.yaml", "nobody reads a file that stands here", "Put it where it is read"),
    "a calendar in capitals": ("reference/colours.yaml", "reference/calendars/colours.CSV", "nobody reads a file that ends in .CSV", "Call it colours.csv"),
    "a calendar elsewhere": ("reference/colours.yaml", "reference/colours.csv", "nobody reads a file that stands here", "Put it where it is read: reference/calendars/"),
}  # fmt: skip


@pytest.mark.parametrize("case", PASSED_OVER)
def test_a_file_that_nobody_reads_is_told(root: Path, case: str) -> None:
    name, to, words, remedy = PASSED_OVER[case]
    (root / to).parent.mkdir(exist_ok=True)
    (root / name).rename(root / to)
    load("tiny", root)  # what is read is as good as before
    [found] = checked(root)
    assert (found.file, found.found) == (root / to, words)
    assert found.remedy.startswith(remedy)


# Spark SQL: before, after, what is found, remedy.
IN_SQL = {
    "an open bracket": ("concat('$system:', payment_no)", "concat('$system:', payment_no", "no expression of Spark SQL", "Correct it"),
    "a misspelt placeholder": ("concat('$system:', payment_no)", "concat('$sytem:', payment_no)", "movement_id: nothing is filled in for $sytem, which would stay as it is", "Did you mean $system? Known here: $system, $zone, $currency"),
    "a placeholder that has grown": ("concat('$system:', payment_no)", "concat('$systems:', payment_no)", "nothing is filled in for $systems", "Did you mean $system?"),
    "a placeholder in brackets": ("concat('$system:', payment_no)", "concat('${system}:', payment_no)", "nothing is filled in for ${system}", "Did you mean $system?"),
    "a placeholder of a business date": ("money: amount\n", "money: amount\nbusinessDate: if(payment_no = '$system', null, try_to_date(payment_no, 'yyyyMMdd'))\n", "businessDate: nothing is filled in for $system", "Known here: $zone"),
    "a placeholder where none is filled in": ("money: amount\n", "money: amount\naffects: if(payment_no = '$zone', null, current_date)\n", "affects: nothing is filled in for $zone", "None is known here"),
    "an unknown column": ("concat('$system:', payment_no)", "concat('$system:', paymnt_no)", "paymnt_no is no column of bronze.payments", "Did you mean payment_no?"),
    "a constant without quotes": ("direction: map_code(directions, direction)", "direction: debit", "debit is no column of bronze.payments", "stands in quotes of its own"),
    "an unknown function": ("concat('$system:', payment_no)", "concat_wss(':', payment_no)", "movement_id: Spark SQL has no function concat_wss", "Did you mean concat_ws?"),
    "machinery": ("business_date: __business_date", "business_date: __businessdate", "__businessdate is no column", "Did you mean __business_date?"),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_SQL)
def test_a_mistake_in_sql_is_told_with_its_line(root: Path, case: str) -> None:
    before, after, words, remedy = IN_SQL[case]
    line = change(root, "bronze/payments.yaml", before, after) + after.count("\n") - before.count("\n")
    [found] = checked(root)
    assert words in found.found
    assert remedy in found.remedy
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)


@pytest.mark.parametrize("written", ["^x$", "a$|b$", "(x$)", "$1", "US$ 5", r"\\\\$id", "$system_", "$zone"])
def test_a_dollar_sign_is_not_always_a_placeholder(root: Path, written: str) -> None:
    change(
        root, "bronze/payments.yaml", "concat('$system:', payment_no)", f"regexp_replace(payment_no, 'x', '{written}')"
    )
    check("tiny", root)


def test_a_name_that_became_a_token_is_said_to_have(root: Path) -> None:
    payer = "  payer:      [string, {identifies: name, classification: C3/4}]\n"
    change(root, "bronze/payments.yaml", "  direction:  [string!", f"{payer}  direction:  [string!")
    change(root, "bronze/payments.yaml", "direction: map_code(directions, direction)", "direction: payer")
    [found] = checked(root)
    assert "payer is no column" in found.found
    assert "payer_token" in found.remedy


@pytest.mark.parametrize("bank", ["demo", "berka"])
def test_no_bank_has_a_mistake(bank: str) -> None:
    assert check(bank).profile.profile == bank
