"""Small text tables as DataFrames, and a runner that puts them through a table's real transform.

incoming transaction_id | amount | business_date t1             | 10.00  | 2026-09-15

A line without `|` names the table (`incoming`, `previous` or `layer.table`), the next line its columns, the rest its
rows; an empty cell is null, a column that is not written takes its example default (kpis.md section 2), then the
contract's type. Facts may name `party_id` in place of customer_key: each party then is its only source record.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.contracts import load
from jobs.contracts.day import Day
from jobs.contracts.kpi import Kpi
from jobs.contracts.model import INCOMING, PREVIOUS, Table
from jobs.contracts.yaml_file import read_yaml

Row = dict[str, str | None]
EXPECTATIONS = Path(__file__).resolve().parent.parent / "expectations"
SOURCES = "array<struct<delivery_id:string,line:bigint>>"
HISTORY = {"valid_from": "date", "valid_to": "date", "is_current": "boolean"}
DATE = "2026-09-15"

# Example defaults of kpis.md section 2, `column=value`; they are no production defaults.
DEFAULTS = {
    "silver.branches": """
        legal_entity_id=bank outlet_type=outlet province_code=11 is_rural=false is_smart=false
        is_active=true opens_at=09:00 closes_at=17:00 cut_off_at=17:00 opened_on=2020-01-01
    """,
    "silver.parties": """
        party_type=person acquisition_source=own is_farmer=false source_record_count=1 conflict_count=0
    """,
    "silver.parties_source": """
        source_system=core party_type=person id_kind=resident_id id_valid=true name_normal_token=wang
        acquisition_source=own is_farmer=false
    """,
    "silver.loan_contracts": """
        customer_key=c1 branch_id=b1 legal_entity_id=bank is_inclusive_nfra=false is_inclusive_pboc=false
    """,
    "silver.party_links": """
        rule=single score=1 conflict_count=0
    """,
    "silver.accounts": """
        customer_key=p1 legal_entity_id=bank business_line=savings product_id=prod product_kind=demand
        branch_id=b1 open_channel=counter opened_on=2020-01-01 status=open
    """,
    "silver.account_balances": """
        legal_entity_id=bank business_line=savings branch_id=b1 currency=CNY
    """,
    "silver.transactions": """
        account_id=a1 customer_key=p1 legal_entity_id=bank business_line=savings branch_id=b1 channel=mobile
        initiator=customer operator=customer is_financial=true direction=debit amount=100 currency=CNY
        status=success event_time=2026-09-15T10:00:00 business_date=2026-09-15 posting_date=2026-09-15
        is_out_of_hours=false
    """,
    "silver.sales": """
        sale_version=1 customer_key=p1 legal_entity_id=bank business_line=fund product_id=prod branch_id=b1
        channel_complete=mobile is_customer_initiated=true amount=100 currency=CNY status=completed
        completed_at=2026-09-15T10:00:00 business_date=2026-09-15 needs_warning=true
    """,
    "silver.process_instances": """
        process_id=account_open business_line=savings branch_id=b1 ended_at=2026-09-15T10:00:00
        outcome=approved business_date=2026-09-15
    """,
    "silver.process_steps": """
        step_code=step actor=customer business_date=2026-09-15
    """,
    "silver.channel_events": """
        channel=mobile event_name=login is_final_step=false is_meaningful=true is_bot=false
        is_test_user=false is_staff=false is_stitched=false is_clock_wrong=false event_time=2026-09-15T10:00:00
        business_date=2026-09-15
    """,
    "silver.loans": """
        customer_key=p1 branch_id=b1 legal_entity_id=bank annual_rate=0.05 five_class=normal days_past_due=0
        is_inclusive_nfra=false is_inclusive_pboc=false as_of_date=2026-09-30
    """,
    "silver.reversals": """
        kind=transaction business_date=2026-09-15 original_business_date=2026-09-15
    """,
}
# A column that is left out says what its twin says.
TWINS = {
    "amount_original": "amount",
    "balance_original": "balance",
    "party_keyed_id": "customer_key",
    "source_customer_id": "customer_key",
    "balance_date": "business_date",
    "business_date": "as_of_date",
    "changed_on": "opened_on",
    "linked_on": "valid_from",
}
CHANNELS = """
    silver.ref_channels
    channel      | is_online | is_off_counter
    counter      | false     | false
    self_service | false     | true
    web          | true      | true
    mobile       | true      | true
    mini_program | true      | true
    phone        | false     | true
    open_api     | true      | true
    assisted     | false     | true
"""


@cache
def contract(address: str) -> Table:
    layer, name = address.split(".")
    return Table.model_validate(read_yaml(EXPECTATIONS / layer / f"{name}.yaml").data)


@cache
def kpi_definitions() -> dict[str, Kpi]:
    return dict(load("demo").kpis)


def parse(text: str) -> dict[str, list[Row]]:
    """Table name -> rows of text."""
    tables: dict[str, list[Row]] = {}
    name, header = "", []
    for line in (line.strip() for line in text.splitlines()):
        if not line:
            continue
        if "|" not in line and (not header or line in (INCOMING, PREVIOUS) or "." in line.split()[0]):
            name, header = line, []
            tables.setdefault(name, [])
        elif not header:
            header = [cell.strip() for cell in line.split("|")]
        else:
            cells = [cell.strip() or None for cell in line.split("|")]
            if len(cells) != len(header):
                raise ValueError(f"{name}: {len(cells)} cells under {len(header)} columns in `{line}`")
            tables[name].append(dict(zip(header, cells, strict=True)))
    return tables


def module_of(table: Table) -> Any:
    return importlib.import_module(table.made_by or f"jobs.{table.layer}.{table.name}")


def day_of(first: str = DATE, last: str | None = None, **other: Any) -> Day:
    """A run of the demo bank for one date, or for first..last with `as_of` its last date."""
    last = last or first
    values: dict[str, Any] = {
        "from_date": date.fromisoformat(first),
        "to_date": date.fromisoformat(last),
        "as_of": [date.fromisoformat(last)],
        "zone": "Asia/Shanghai",
        "currency": "CNY",
        "balance_floor": Decimal(100),
        "release_key": f"{last}|v1",
        "run_id": "test",
        "kpis": list(kpi_definitions().values()),
    }
    return Day(**{**values, **other})


class Tables:
    """The tables of one story. `run` gives the transform's rows as DataFrame and keeps them as that table for later
    runs.
    """

    def __init__(self, spark: SparkSession, text: str = ""):
        self.spark = spark
        self.frames: dict[str, DataFrame] = {}
        self.add(CHANNELS)
        if text:
            self.add(text)

    def add(self, text: str, *, of: Table | None = None) -> Tables:
        """`of`: the table whose `incoming` or `previous` the text speaks of."""
        for name, rows in parse(text).items():
            table = of if name in (INCOMING, PREVIOUS) else contract(name)
            if table is None:
                raise ValueError(f"`{name}` needs the table that reads it: use run(address, text)")
            self.frames[name] = self._frame(table, rows, incoming=name == INCOMING)
        return self

    def run(self, address: str, text: str = "", *, day: Day | None = None) -> DataFrame:
        table = contract(address)
        if text:
            self.add(text, of=table)
        transform = module_of(table).transform
        frames = {read.split(".")[-1]: self.read(read, table) for read in table.reads}
        extra = {"day": day or day_of()} if "day" in inspect.signature(transform).parameters else {}
        made = transform(**frames, **extra)
        self.frames[address] = self._as_read(table, made)
        return made

    def read(self, read: str, table: Table | None = None) -> DataFrame:
        if read not in self.frames:
            of = table if table is not None and read in (INCOMING, PREVIOUS) else contract(read)
            self.frames[read] = self._frame(of, [], incoming=read == INCOMING)
        return self.frames[read]

    def _frame(self, table: Table, rows: list[Row], *, incoming: bool) -> DataFrame:
        columns = {n: c.type for n, c in (table.incoming if incoming else table.physical_columns).items()}
        machinery = {"sources": SOURCES, "received_at": "timestamp"} | ({"__business_date": "date"} if incoming else {})
        columns |= (HISTORY if table.history == "scd2" and not incoming else {}) | machinery
        filled = [self._filled(table, row, columns, line) for line, row in enumerate(rows, 1)]
        for row in filled:
            unknown = set(row) - set(columns)
            if unknown:
                raise ValueError(f"{table.table} has no column {', '.join(sorted(unknown))}")
        return literal_frame(self.spark, filled, columns)

    @staticmethod
    def _filled(table: Table, row: Row, columns: dict[str, str], line: int) -> dict[str, Any]:
        """The row with what a text table leaves out."""
        pairs = (pair.split("=", 1) for pair in DEFAULTS.get(table.table, "").split())
        defaults = {c: v for c, v in pairs if c in columns}
        full: dict[str, Any] = {**defaults, "sources": [("D1", line)], **row}
        if "party_id" in full and "party_id" not in columns:
            full["customer_key"] = full.pop("party_id")
        for column, twin in TWINS.items():
            if column in columns and column not in full:
                full[column] = full.get(twin)
        if "is_current" in columns:
            full.setdefault("valid_from", "2000-01-01")
            full.setdefault("is_current", "false" if full.get("valid_to") else "true")
        return full

    def _as_read(self, table: Table, made: DataFrame) -> DataFrame:
        """Rows as the lake gives them to the next table: a state lasts until the next, and one equal to the one before
        opens no row.
        """
        if table.history != "scd2":
            return made
        from pyspark.sql import Window

        by_key = Window.partitionBy(*table.primary_key).orderBy("valid_from")
        told = made.withColumn("__hash", F.xxhash64(*(table.tracked or list(table.physical_columns))))
        changed = told.withColumn("__before", F.lag("__hash").over(by_key)).where(
            ~F.col("__before").eqNullSafe(F.col("__hash"))
        )
        return (
            changed.drop("__hash", "__before")
            .withColumn("valid_to", F.lead("valid_from").over(by_key))
            .withColumn("is_current", F.col("valid_to").isNull())
        )


def literal_frame(spark: SparkSession, rows: list[dict[str, Any]], columns: dict[str, str]) -> DataFrame:
    """Rows of texts, each cast to its column's type. They are sent as data: as SQL they would be parsed anew by every query that reads them, which takes
    longer than most queries.
    """
    as_it_is = {name for name, kind in columns.items() if kind.startswith(("array<", "map<", "struct<", "void"))}
    sent = ", ".join(f"`{name}` {kind if name in as_it_is else 'string'}" for name, kind in columns.items())
    values = [tuple(row.get(name) if name in as_it_is else _literal(row.get(name)) for name in columns) for row in rows]
    typed = [F.col(f"`{name}`").cast(kind).alias(name) for name, kind in columns.items()]
    return spark.createDataFrame(values, sent).select(*typed)


def held(frame: DataFrame) -> DataFrame:
    """The frame's rows, computed once. For columns of plain types."""
    return literal_frame(frame.sparkSession, [row.asDict() for row in frame.collect()], dict(frame.dtypes))


def _literal(value: Any) -> str | None:
    return None if value is None else str(value)


def shown(frame: DataFrame, *columns: str) -> list[tuple[str, ...]]:
    """The rows' given columns as text, sorted: what a story expects is written the same way. Null is an empty text."""
    return sorted(tuple(_text(value) for value in row) for row in frame.select(*columns).collect())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def lines(rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [" | ".join(row).strip() for row in rows]
