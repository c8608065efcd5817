"""A tiny bank's `expectations/`, without a mistake: tests change one line of it and look at what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.contracts import ContractError, load
from jobs.contracts.catalog import check
from jobs.contracts.errors import Mistake

FILES = {
    "profiles/tiny.yaml": """\
profile: tiny
title: {en: Tiny Bank, zh: 小银行}
zone: Asia/Shanghai
currency: CNY
calendar: every_day
closeBy: "23:50"
""",
    "reference/colours.yaml": """\
reference: colours
version: 1.0.0
description: Colours of cards.
values: [red, green]
""",
    "reference/directions.yaml": """\
reference: directions
version: 1.0.0
description: How the core system says debit and credit.
map: {D: debit, C: credit}
""",
    "reference/calendars/work.csv": "calendar_date,is_working_day\n2026-09-14,true\n2026-09-19,false\n",
    "sources/tiny/payments.yaml": """\
feed: payments
description: Payments of one branch.
system: core
owner: branch accounting
sender: branch
kind: increment
schedule: {cutOff: "17:30", due: "22:30"}
files: {pattern: "PAY_{entity}_{date}_{seq}.csv"}
format: {kind: delimited, separator: "|"}
control: {sum: amount}
synthetic: true
""",
    "sources/tiny/rates.yaml": """\
feed: rates
description: Exchange rates of the day.
system: core
owner: treasury
sender: head_office
kind: snapshot
files: {pattern: "RATE_{entity}_{date}.csv"}
format: {kind: delimited}
synthetic: true
""",
    "sources/tiny/clicks.yaml": """\
feed: clicks
description: What customers do in the app.
system: app
owner: digital
sender: stream
kind: events
files: {pattern: "APP_{entity}_{date}_{seq}.jsonl"}
format: {kind: json_lines}
synthetic: true
""",
    "bronze/payments.yaml": """\
table: bronze.payments
version: 1.0.0
description: A payment as the branch sent it.
grain: one payment
owner: branch accounting
steward: accounting
primaryKey: [payment_no]
history: append
money: amount
columns:
  payment_no: [string!, {classification: C1/2}]
  direction:  [string!, {enum: $directions, classification: C1/2}]
  amount:     ["decimal(18,2)!", {unit: CNY, classification: C2/3}]
rules:
  - {id: amount_positive, onFail: quarantine, expect_column_values_to_be_between: {column: amount, min_value: 0}}
  - {id: not_empty, onFail: warn, expect_table_row_count_to_be_between: {min_value: 1}}
conforms:
  silver.movements:
    columns:
      movement_id: concat('$system:', payment_no)
      direction: map_code(directions, direction)
      amount: amount
      business_date: __business_date
""",
    "bronze/rates.yaml": """\
table: bronze.rates
version: 1.0.0
description: The rate of one currency.
grain: one currency
owner: treasury
steward: accounting
primaryKey: [currency]
history: append
columns:
  currency: [string!, {classification: C1/1}]
  rate:     ["decimal(18,6)!", {classification: C1/1}]
""",
    "bronze/clicks.yaml": """\
table: bronze.clicks
version: 1.0.0
description: One click.
grain: one click
owner: digital
steward: digital
primaryKey: [click_id]
history: append
columns:
  click_id: [string!, {classification: C1/2}]
""",
    "silver/movements.yaml": """\
table: silver.movements
version: 1.0.0
description: Movements of every source.
grain: one movement
owner: payments
steward: accounting
reads: [incoming]
primaryKey: [movement_id]
history: fact
money: amount
incoming:
  movement_id:   [string!, {classification: C1/2}]
  direction:     [string!, {classification: C1/2}]
  amount:        ["decimal(18,2)!", {classification: C2/3}]
  business_date: [date!, {classification: C1/2}]
columns:
  movement_id:   [string!, {classification: C1/2}]
  direction:     [string!, {enum: [debit, credit], classification: C1/2}]
  amount:        ["decimal(18,2)!", {classification: C2/3}]
  business_date: [date!, {classification: C1/2}]
""",
    "gold/daily.yaml": """\
table: gold.daily
version: 1.0.0
description: Sums of a day.
grain: one day
owner: controlling
steward: controlling
reads: [silver.movements]
primaryKey: [business_date]
history: fact
columns:
  business_date: [date!, {classification: C1/1}]
  amount:        ["decimal(18,2)!", {classification: C1/2}]
sla: {readyBy: "05:30", calendar: work}
""",
}

KPI = """\
id: {id}
name: {name}
title: {{en: Share, zh: 占比}}
definition: {{en: What of what, zh: 占比}}
version: 1.0.0
effectiveFrom: 2026-01-01
base: movements
periods: [day]
measures:
  count_share: {{numerator: "1", denominator: "1"}}
headline: {headline}
additivity: S
direction: higher
tables: [{table}]
owner: controlling
"""


def bronze(name: str, *columns: str, grain: str, key: str, owner: str = "branch accounting", corrects: str = "") -> str:
    """A bronze contract beside those; `columns` as it writes them."""
    head = {
        "table": f"bronze.{name}", "version": "1.0.0", "description": f"{grain} as it came".capitalize(), "grain": grain,
        "owner": owner, "steward": "accounting", **({"corrects": corrects} if corrects else {}), "primaryKey": f"[{key}]", "history": "append",
    }  # fmt: skip
    lines = [f"{word}: {value}" for word, value in head.items()] + ["columns:"] + [f"  {column}" for column in columns]
    return "".join(f"{line}\n" for line in lines)


def corrections(of: str) -> str:
    """The contract of rows that put payments right, which are known by `of`."""
    version = "correction_version: [int!, {classification: C1/1}]"
    return bronze(
        "corrections",
        version,
        grain="one payment and correction",
        key=f"{of}, correction_version",
        corrects="bronze.payments",
    )


def build(root: Path, **changes: str) -> Path:
    """Write the tiny bank's files below `root`. `changes`: file (`bronze__payments`) -> its whole new text."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changes.get(Path(name).with_suffix("").as_posix().replace("/", "__"), text), encoding="utf-8")
    return root


def change(root: Path, name: str, before: str, after: str) -> int:
    """Put `after` in place of `before` in one file; returns the line on which the change begins, counted from 1."""
    path = root / name
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {name}"
    path.write_text(text.replace(before, after), encoding="utf-8")
    return text[: text.index(before)].count("\n") + 1


def mistakes(root: Path) -> list[Mistake]:
    """What reading the bank tells."""
    with pytest.raises(ContractError) as error:
        load("tiny", root)
    return error.value.mistakes


def checked(root: Path) -> list[Mistake]:
    """What `contracts check` says."""
    with pytest.raises(ContractError) as error:
        check("tiny", root)
    return error.value.mistakes


def only(root: Path) -> Mistake:
    """The one mistake that reading it tells."""
    found = mistakes(root)
    assert len(found) == 1, [str(m) for m in found]
    return found[0]
