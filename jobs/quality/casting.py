"""`rows` of text become the types that the contract declares; what cannot be read is said, never guessed or rounded.

How a column's text is written stands in its contract's `parse` (jobs/contracts/parse.py). Surrounding blanks are no part
of a number, a date or a flag, and a blank one is null; strings stay exactly as they came. A time without an offset is the
bank's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from jobs.contracts import Column as Declared
from jobs.contracts import Table
from jobs.contracts.parse import DECIMAL, EPOCH, FIELDS, Rewrite, Way, places

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MALFORMED = "malformed_line"
# What arrival says of a row beside its text (jobs/arrival/rows.py), but for the sealed bytes of a line that could not be split.
CARRIED = ("__delivery_id", "__entity", "__received_at", "__lane_date", "__line", "__malformed")
ISO_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
OFFSET = r"(Z|[+-][0-9]{2}:?[0-9]{2})"
# The end of the text; `$` would let a line break follow.
END = r"\z"


def unreadable(column: str) -> str:
    """Name of the reason for text that is not of the column's type."""
    return f"{column}_unreadable"


def cast(rows: DataFrame, table: Table, *, zone: str) -> DataFrame:
    """Typed contract columns, the machinery's columns, `__cast_errors` (array of reasons: `<column>_unreadable`,
    `malformed_line`), `__unread_<column>` (a value was given and could not be read) and `__raw` (column -> text that could
    not be read; null for a row without errors).

    `zone` is the bank's: a local date and time becomes an instant in UTC.
    """
    from pyspark.sql import functions as F

    columns = table.physical_columns
    checked = [n for n, c in columns.items() if c.type != "string"]
    # Each step is a projection of its own, so that what several expressions name is computed once a row.
    texts = rows.select(*CARRIED, *[_given(F.col(f"`{n}`"), c).alias(n) for n, c in columns.items()])
    typed = texts.select(
        *CARRIED, *[_typed(F.col(f"`{n}`"), c, zone).alias(n) for n, c in columns.items()],
        *[F.col(f"`{n}`").alias(f"__text_{n}") for n in checked],
    )  # fmt: skip
    failed = [F.col(f"`__text_{n}`").isNotNull() & F.col(f"`{n}`").isNull() for n in checked]
    tried = typed.select(
        *CARRIED, *[f"`{name}`" for name in columns], *[f"`__text_{n}`" for n in checked],
        *[is_so.alias(unread(n)) for n, is_so in zip(checked, failed, strict=True)],
        *[F.lit(False).alias(unread(n)) for n in columns if n not in checked],
    )  # fmt: skip
    # No function of a function (filter, array_compact): Spark compiles no row of a query that has one.
    no_error, no_text = F.array().cast("array<string>"), F.create_map().cast("map<string,string>")
    wrong = [(F.col(f"`{unread(n)}`"), unreadable(n), n, F.col(f"`__text_{n}`")) for n in checked]
    malformed = F.col("__malformed")
    wrong.append((malformed.isNotNull(), MALFORMED, "__malformed", malformed))
    any_failed = reduce(lambda a, b: a | b, [is_so for is_so, _, _, _ in wrong])
    raw = [F.when(is_so, F.create_map(F.lit(key), value)).otherwise(no_text) for is_so, _, key, value in wrong]
    return tried.select(
        *CARRIED,
        *[f"`{name}`" for name in columns],
        *[f"`{unread(n)}`" for n in columns],
        F.when(any_failed, listed([(is_so, reason) for is_so, reason, _, _ in wrong]))
        .otherwise(no_error)
        .alias("__cast_errors"),
        F.when(any_failed, F.map_concat(*raw)).alias("__raw"),
    )


def unread(column: str) -> str:
    """Name of the flag that a value of the column was given and could not be read."""
    return f"__unread_{column}"


def listed(found: Sequence[tuple[Column, str]]) -> Column:
    """The names of those that are so, at least one. Through text, for Spark's code of a list put together from lists is several times as long, and
    what is too long is not compiled.
    """
    from pyspark.sql import functions as F

    return F.split(F.concat_ws(",", *[F.when(is_so, F.lit(name)) for is_so, name in found]), ",")


def _given(text: Column, column: Declared) -> Column:
    """The text, or null where nothing is given."""
    from pyspark.sql import functions as F

    nulls = column.way.nulls
    if column.type != "string":
        text = F.nullif(F.trim(text), F.lit(""))
    return F.when(~text.isin(list(nulls)), text) if nulls else text


def _typed(text: Column, column: Declared, zone: str) -> Column:
    from pyspark.sql import functions as F

    kind, ways = column.type, column.way
    if kind == "string":
        return text
    if kind == "boolean":
        yes, no = (ways.pattern or "").split("/")
        return F.when(text == yes, F.lit(True)).when(text == no, F.lit(False))
    if kind == "date":
        return _iso(text, ways.pattern or "yyyy-MM-dd").try_cast("date")
    if kind == "timestamp":
        return _instant(text, ways.pattern, zone)
    if kind in ("int", "bigint"):
        return F.when(text.rlike(r"^[+-]?[0-9]+" + END), text.try_cast(kind))
    match = DECIMAL.match(kind)
    if match is None:
        raise ValueError(f"bronze cannot read text as {kind}")
    return _decimal(text, int(match[1]), int(match[2]), ways)


def _iso(text: Column, pattern: str) -> Column:
    """ISO text from a value whose fields stand at fixed places; null where it does not have that form.

    Cutting the fields out and putting them together again costs a fraction of a formatter and knows no lenient reading.
    """
    from pyspark.sql import functions as F

    parts, first_year = places(pattern)
    form = "".join(f"[0-9]{{{FIELDS[p]}}}" if p in FIELDS else re.escape(p) for p in parts)
    has_form = text.rlike(f"^{form}{END}")
    if pattern in ("yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss"):
        return F.when(has_form, text)
    at, field = 1, {}
    for part in parts:
        if part in FIELDS:
            field[part] = F.substring(text, at, FIELDS[part])
        at += FIELDS.get(part, len(part))
    year = field.get("yyyy", F.lit(""))
    if first_year is not None:
        century, pivot = divmod(first_year, 100)
        year = F.concat(F.when(field["yy"] >= f"{pivot:02d}", str(century)).otherwise(str(century + 1)), field["yy"])
    iso = [year, F.lit("-"), field["MM"], F.lit("-"), field["dd"]]
    if "HH" in field:
        zero = F.lit("00")
        iso += [F.lit(" "), field["HH"], F.lit(":"), field.get("mm", zero), F.lit(":"), field.get("ss", zero)]
    if "SSS" in field:
        iso += [F.lit("."), field["SSS"]]
    return F.when(has_form, F.concat(*iso))


def _instant(text: Column, pattern: str | None, zone: str) -> Column:
    from pyspark.sql import functions as F

    if pattern in EPOCH:
        times, low, high = EPOCH[pattern]
        number = F.when(text.rlike("^-?[0-9]{1,15}" + END), text.try_cast("bigint"))
        return F.when(number.between(low, high), F.timestamp_millis(number * times))
    if pattern is not None:
        return F.to_utc_timestamp(_iso(text, pattern).try_cast("timestamp"), zone)
    colon = F.regexp_replace(text, r"([+-][0-9]{2})([0-9]{2})$", "$1:$2")
    absolute = F.when(text.rlike(ISO_INSTANT + OFFSET + END), colon.try_cast("timestamp"))
    local = F.when(text.rlike(ISO_INSTANT + END), text.try_cast("timestamp"))
    return F.coalesce(F.to_utc_timestamp(local, zone), absolute)


def _decimal(text: Column, precision: int, scale: int, ways: Way) -> Column:
    """Exactly, or not at all: more decimals than declared, or too many digits, are unreadable."""
    from pyspark.sql import functions as F

    for rewrite in ways.rewrites:
        text = _rewritten(text, rewrite)
    if ways.implied:
        n = ways.implied
        digits = F.lpad(F.ltrim(text, F.lit("+-")), F.greatest(F.length(text), F.lit(n + 1)), F.lit("0"))
        sign = F.when(text.startswith("-"), "-").otherwise("")
        pointed = F.concat(sign, F.regexp_replace(digits, f"([0-9]{{{n}}})$", ".$1"))
        text = F.when(text.rlike("^[+-]?[0-9]+" + END), pointed)
    whole = rf"0*[0-9]{{0,{precision - scale}}}"
    point = rf"(\.[0-9]{{0,{scale}}})?" if scale else ""
    return F.when(text.rlike(rf"^[+-]?(?=\.?[0-9]){whole}{point}{END}"), text.try_cast(f"decimal({precision},{scale})"))


def _rewritten(text: Column, rewrite: Rewrite) -> Column:
    from pyspark.sql import functions as F

    def of(once: Column) -> Column:
        plain = F.concat(F.lit(rewrite.sign), F.regexp_replace(once, rewrite.gone, ""))
        return F.when(once.rlike(rewrite.form), plain).otherwise(once)

    # As a lambda, which names its text three times and computes it once: else each step would multiply the last.
    return F.get(F.transform(F.array(text), of), F.lit(0))
