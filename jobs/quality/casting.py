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
TWO_DIGIT_YEAR = re.compile(r"^yyMMdd/(\d{4})$")
MALFORMED = "malformed_line"
# Pattern letters of which a value is made up by position: such values are cut and put together again, which is far cheaper than a formatter.
FIELDS = {"yyyy": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2}


def unreadable(column: str) -> str:
    """Name of the reason for text that is not of the column's type."""
    return f"{column}_unreadable"


def cast(rows: DataFrame, table: Table, *, zone: str) -> DataFrame:
    """Typed contract columns, the machinery's columns, `__cast_errors` (array of reasons) and `__raw` (column -> text that could not be read).

    `zone` is the bank's: a local date and time becomes an instant in UTC.
    """
    from pyspark.sql import functions as F

    text = {name: F.col(f"`{name}`") for name in table.physical_columns}
    typed = {name: _typed(text[name], column, zone) for name, column in table.physical_columns.items()}
    checked = [n for n, c in table.physical_columns.items() if c.type != "string"]
    failed = {n: text[n].isNotNull() & typed[n].isNull() for n in checked}
    malformed = F.col("__malformed")
    errors = [F.when(failed[n], F.lit(unreadable(n))) for n in checked] + [F.when(malformed.isNotNull(), F.lit(MALFORMED))]
    raw = F.map_from_entries(
        F.filter(
            F.array(*[F.struct(F.lit(n).alias("key"), F.when(failed[n], text[n]).alias("value")) for n in checked],
                    F.struct(F.lit("__malformed").alias("key"), malformed.alias("value"))),
            lambda pair: pair["value"].isNotNull(),
        )
    )  # fmt: skip
    any_failed = malformed.isNotNull()
    for name in checked:
        any_failed = any_failed | failed[name]
    none = F.array().cast("array<string>")
    return rows.select(
        "__delivery_id",
        "__line",
        *[value.alias(name) for name, value in typed.items()],
        F.when(any_failed, F.array_compact(F.array(*errors))).otherwise(none).alias("__cast_errors"),
        F.when(any_failed, raw).alias("__raw"),
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
        return _date(text, parse or "yyyy-MM-dd")
    if kind == "timestamp":
        return _instant(text, parse, zone)
    if kind in ("int", "bigint"):
        return F.when(text.rlike(r"^[+-]?[0-9]+$"), text.try_cast(kind))
    match = DECIMAL.match(kind)
    if match is None:
        raise ValueError(f"bronze cannot read text as {kind}")
    return _decimal(text, int(match[1]), int(match[2]), parse)


def _date(text: Column, parse: str) -> Column:
    from pyspark.sql import functions as F

    two_digits = TWO_DIGIT_YEAR.match(parse)
    if two_digits:
        pivot = int(two_digits[1])
        century, year = pivot // 100, F.substring(text, 1, 2)
        full = F.when(year.cast("int") >= pivot % 100, F.lit(str(century))).otherwise(F.lit(str(century + 1)))
        composed = F.concat(full, year, F.lit("-"), F.substring(text, 3, 2), F.lit("-"), F.substring(text, 5, 2))
        return F.when(text.rlike("^[0-9]{6}$"), composed.try_cast("date"))
    composed = _composed(text, parse)
    return composed.try_cast("date") if composed is not None else F.try_to_timestamp(text, F.lit(parse)).cast("date")


def _composed(text: Column, parse: str) -> Column | None:
    """ISO text from a value whose fields stand at fixed places; null where it does not have that form; None for any other pattern."""
    from pyspark.sql import functions as F

    parts = re.findall(r"yyyy|MM|dd|HH|mm|ss|[^A-Za-z]", parse)
    if "".join(parts) != parse or "yyyy" not in parts:
        return None
    at, where = 1, {}
    for part in parts:
        where[part] = at
        at += FIELDS.get(part, len(part))
    form = "^" + "".join(f"[0-9]{{{FIELDS[p]}}}" if p in FIELDS else re.escape(p) for p in parts) + "$"
    if parse in ("yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss"):
        return F.when(text.rlike(form), text)
    field = {p: F.substring(text, where[p], FIELDS[p]) if p in where else F.lit("00") for p in FIELDS}
    iso = F.concat(field["yyyy"], F.lit("-"), field["MM"], F.lit("-"), field["dd"])
    if "HH" in where:
        iso = F.concat(iso, F.lit(" "), field["HH"], F.lit(":"), field["mm"], F.lit(":"), field["ss"])
    return F.when(text.rlike(form), iso)


def _instant(text: Column, parse: str | None, zone: str) -> Column:
    from pyspark.sql import functions as F

    if parse == "epoch_ms":
        return F.when(text.rlike(r"^[0-9]{1,15}$"), F.timestamp_millis(text.try_cast("bigint")))
    if parse is None:
        # ISO 8601; without an offset it is the bank's local time.
        iso = F.when(text.rlike(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"), text.try_cast("timestamp"))
        return F.when(text.rlike(r"(Z|[+-][0-9]{2}:?[0-9]{2})$"), iso).otherwise(F.to_utc_timestamp(iso, zone))
    composed = _composed(text, parse)
    if composed is not None:
        return F.to_utc_timestamp(composed.try_cast("timestamp"), zone)
    local = F.try_to_timestamp(text, F.lit(parse))
    return local if re.search(r"[XZzO]", parse) else F.to_utc_timestamp(local, zone)


def _decimal(text: Column, precision: int, scale: int, parse: str | None) -> Column:
    """Exactly, or not at all: more decimals than declared, or too many digits, are unreadable."""
    from pyspark.sql import functions as F

    if parse == "trailing_minus":
        text = F.when(text.endswith("-"), F.concat(F.lit("-"), text.substr(F.lit(1), F.length(text) - 1))).otherwise(text)
    implied = IMPLIED.match(parse or "")
    if implied:
        digits = F.when(text.rlike(rf"^[+-]?[0-9]{{1,{precision}}}$"), text.try_cast("decimal(38,0)"))
        return (digits * F.lit(f"1e-{implied[1]}").cast(f"decimal({int(implied[1]) + 1},{implied[1]})")).try_cast(f"decimal({precision},{scale})")
    point = rf"(\.[0-9]{{0,{scale}}})?" if scale else ""
    return F.when(text.rlike(rf"^[+-]?[0-9]{{1,{precision - scale}}}{point}$"), text.try_cast(f"decimal({precision},{scale})"))
