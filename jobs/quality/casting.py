"""`rows` of text become the types that the contract declares; what cannot be read is said, never guessed or rounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobs.contracts import Column as Declared
from jobs.contracts import Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

IMPLIED = re.compile(r"^implied\((\d+)\)$")
DECIMAL = re.compile(r"^decimal\((\d+),\s?(\d+)\)$")
NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"
MALFORMED = "malformed_line"


def unreadable(column: str) -> str:
    """Name of the reason for text that is not of the column's type."""
    return f"{column}_unreadable"


def cast(rows: DataFrame, table: Table, *, zone: str) -> DataFrame:
    """Typed contract columns, the machinery's columns, `__cast_errors` (array of reasons) and `__raw` (column -> text that could not be read).

    `zone` is the bank's: a local date and time becomes an instant in UTC.
    """
    from pyspark.sql import functions as F

    typed, errors, raw = [], [], []
    for name, column in table.physical_columns.items():
        text = F.col(name)
        value = _typed(text, column, zone)
        typed.append(value.alias(name))
        if column.type != "string" or column.parse:
            failed = text.isNotNull() & value.isNull()
            errors.append(F.when(failed, F.lit(unreadable(name))))
            raw.append(F.struct(F.lit(name).alias("key"), F.when(failed, text).alias("value")))
    malformed = F.col("__malformed")
    errors.append(F.when(malformed.isNotNull(), F.lit(MALFORMED)))
    raw.append(F.struct(F.lit("__malformed").alias("key"), malformed.alias("value")))
    kept_raw = F.filter(F.array(*raw), lambda pair: pair["value"].isNotNull())
    return rows.select(
        "__delivery_id",
        "__line",
        *typed,
        F.array_compact(F.array(*errors)).alias("__cast_errors"),
        F.when(F.size(kept_raw) > 0, F.map_from_entries(kept_raw)).alias("__raw"),
    )


def _typed(text: Column, column: Declared, zone: str) -> Column:
    from pyspark.sql import functions as F

    kind, parse = column.type, column.parse
    if kind == "string":
        return text
    if kind == "boolean":
        yes, no = (parse or "true/false").split("/")
        return F.when(text == yes, F.lit(True)).when(text == no, F.lit(False))
    if kind == "date":
        return F.to_date(F.try_to_timestamp(text, F.lit(parse))) if parse else F.try_to_timestamp(text, F.lit("yyyy-MM-dd")).cast("date")
    if kind == "timestamp":
        return _instant(text, parse, zone)
    if kind in ("int", "bigint"):
        return F.when(text.rlike(r"^[+-]?[0-9]+$"), text.try_cast(kind))
    match = DECIMAL.match(kind)
    if match:
        return _decimal(text, int(match[1]), int(match[2]), parse)
    return text.try_cast(kind)


def _instant(text: Column, parse: str | None, zone: str) -> Column:
    from pyspark.sql import functions as F

    if parse == "epoch_ms":
        return F.when(text.rlike(r"^[0-9]{1,15}$"), F.timestamp_millis(text.try_cast("bigint")))
    if parse is None:
        # ISO 8601; without an offset it is the bank's local time.
        has_offset = text.rlike(r"(Z|[+-][0-9]{2}:?[0-9]{2})$")
        return F.when(has_offset, F.try_to_timestamp(text)).otherwise(F.to_utc_timestamp(F.try_to_timestamp(text), zone))
    local = F.try_to_timestamp(text, F.lit(parse))
    return local if re.search(r"[XZzO]", parse) else F.to_utc_timestamp(local, zone)


def _decimal(text: Column, precision: int, scale: int, parse: str | None) -> Column:
    """Exactly, or not at all: more decimals than declared, or too many digits, are unreadable."""
    from pyspark.sql import functions as F

    if parse == "trailing_minus":
        text = F.when(text.endswith("-"), F.concat(F.lit("-"), F.rtrim(F.lit("-"), text))).otherwise(text)
    implied = IMPLIED.match(parse or "")
    if implied:
        return F.when(text.rlike(r"^[+-]?[0-9]+$"), (text.try_cast(f"decimal({precision},0)") / F.lit(10 ** int(implied[1]))).try_cast(f"decimal({precision},{scale})"))
    exact = rf"^[+-]?[0-9]{{1,{precision - scale}}}(\.[0-9]{{0,{scale}}})?$" if scale else rf"^[+-]?[0-9]{{1,{precision}}}$"
    return F.when(text.rlike(exact), text.try_cast(f"decimal({precision},{scale})"))
