"""events: how good the events of a day are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import typer

from jobs.bank import Bank, as_decided, open_bank
from jobs.commands.gates import show_unlisted
from jobs.commands.output import BankOption, JsonOption, console, day_of, plain, show
from jobs.lake.released import files_of
from jobs.ledger import days, deliveries, releases
from jobs.quality import unlisted

EVENTS, QUALITY = "silver.channel_events", "gold.event_quality"
BAR = 40  # columns of the longest bar
PERCENT, HUNDRED = Decimal("0.01"), Decimal(100)


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake events · ledgerlake events 2026-09-15 --json")(events)


@dataclass(frozen=True)
class Copies:
    """Rows of a business date that came, and those of them that are copies of another: of one in the same delivery, or in another."""

    received: int
    in_one_delivery: int
    in_another: int
    rejected: int

    @property
    def rate(self) -> Decimal:
        """Percent of what came."""
        return _percent(self.in_one_delivery + self.in_another, self.received)


def events(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Business date; the newest released one when left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """How good the events of a day are: by channel and version of the app and of the schema whose they are (known, stitched to a login, nobody's), bots, test users, staff, wrong clocks and
    the largest skew in seconds; how late they came; how many are copies; and values that no list has.

    Percentages are of the line's events, `mix` of the channel's. With --json each line says `what` it is: version, lateness, copies or value.
    """
    the_bank = as_decided(open_bank(bank))
    with the_bank.ledger.begin() as db:
        wanted = day_of(day) if day else days.last_released_day(db)
        made = releases.newest(db)
        released = {name: of.delta_version for name, of in releases.tables(db, made.release_id).items()} if made else {}
    rows = of_day(the_bank, wanted, released[QUALITY]) if wanted and QUALITY in released else []
    if wanted is None or not rows:
        if not as_json:
            console.print(f"No event of {wanted} was built." if wanted else "Nothing was released yet.")
        return
    feeds = [table.name for table in the_bank.catalog.feeding(EVENTS)]
    copies = copies_of(the_bank, feeds, wanted, released[EVENTS])
    with the_bank.ledger.begin() as db:
        values = [one for one in unlisted.listing(db, the_bank.catalog, wanted, wanted) if one.feed in feeds]
    if as_json:
        lines = [{"what": "version"} | row for row in rows]
        lines += [{"what": "lateness", "within": name, "events": n} for name, n in lateness(rows)]
        lines += [{"what": "copies"} | asdict(copies) | {"percent": copies.rate}]
        for line in [*lines, *({"what": "value"} | asdict(value) for value in values)]:
            print(json.dumps(plain(line), ensure_ascii=False))
        return
    show(
        [*(_line(row, rows) for row in rows), _line(_sum(rows), rows)],
        ["channel", "app_version", "schema", "events", "mix_%", "known_%", "stitched_%", "nobody_%", "bots", "tests", "staff", "wrong_clocks", "skew"],
        as_json=False,
        move=["staff", "tests", "bots", "schema", "skew", "wrong_clocks", "nobody_%", "stitched_%", "known_%"],
    )  # fmt: skip
    _draw(lateness(rows))
    console.print(
        f"\nCopies: {copies.in_one_delivery + copies.in_another:,} of {copies.received:,} that came ({copies.rate} %): {copies.in_one_delivery:,} in one delivery, "
        f"{copies.in_another:,} in another. Rejected: {copies.rejected:,}.",
        highlight=False,
        soft_wrap=True,
    )
    if values:
        console.print("\nNot listed:", style="bold")
        show_unlisted(values, as_json=False, empty="")


def of_day(bank: Bank, day: date, version: int) -> list[dict[str, Any]]:
    """The counts of a business date by channel, version of the app and of the schema, the most frequent first; as the table was in a version."""
    import pyarrow.compute as pc

    dataset = files_of(bank.ledger, bank.lake, QUALITY, version, {"business_date": (day, day)})
    # A table that was not brought to its contract yet lacks the finer classes.
    columns = [name for name in bank.catalog.tables[QUALITY].columns if name in dataset.schema.names]
    wanted = (pc.field("business_date") == day) & (pc.field("__verdict") == "accepted")
    rows = dataset.to_table(columns=columns, filter=wanted).to_pylist()
    return sorted(rows, key=lambda r: (r["channel"], -r["event_count"], r["app_version"], r["schema_version"]))


def lateness(rows: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """How long after the event it was received, and how many events: later than the class before. Of days that were built before there were finer classes,
    `1 hour`, `24 hours` and `later` hold them all.
    """
    of = _sum(rows)
    minute, five, six, three = (of[f"within_{name}_count"] for name in ("minute", "5_minutes", "6_hours", "3_days"))
    return [
        ("1 minute", minute),
        ("5 minutes", five),
        ("1 hour", of["within_hour_count"] - minute - five),
        ("6 hours", six),
        ("24 hours", of["within_day_count"] - six),
        ("3 days", three),
        ("later", of["later_count"] - three),
    ]


def copies_of(bank: Bank, feeds: Sequence[str], day: date, version: int) -> Copies:
    """Copies within a delivery are told by bronze, those in different deliveries by silver, as it was in a version."""
    import pyarrow.compute as pc

    with bank.ledger.begin() as db:
        came = deliveries.rows_of_date(db, feeds, day)
    built = files_of(bank.ledger, bank.lake, EVENTS, version, {"business_date": (day, day)})
    in_another = built.count_rows(filter=(pc.field("business_date") == day) & (pc.field("__verdict") == "duplicate"))
    received = came["accepted"] + came["rejected"] + came["duplicate"]
    return Copies(received, came["duplicate"], in_another, came["rejected"])


def _sum(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = [
        "event",
        "known_event",
        "stitched_event",
        "anonymous_event",
        "bot_event",
        "test_event",
        "staff_event",
        "wrong_clock",
        "later",
    ]
    counts += [f"within_{name}" for name in ("minute", "5_minutes", "hour", "6_hours", "day", "3_days")]
    total: dict[str, Any] = {f"{name}_count": sum(row.get(f"{name}_count") or 0 for row in rows) for name in counts}
    skews = [row["largest_skew_seconds"] for row in rows if row["largest_skew_seconds"] is not None]
    return total | {"channel": "all", "largest_skew_seconds": max(skews, default=None)}


def _line(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What people see of one channel and version."""
    count = row["event_count"]
    of_channel = sum(other["event_count"] for other in rows if row["channel"] in (other["channel"], "all"))
    return {
        "channel": row["channel"],
        "app_version": row.get("app_version"),
        "schema": row.get("schema_version"),
        "events": count,
        "mix_%": _percent(count, of_channel),
        "known_%": _percent(row["known_event_count"], count),
        "stitched_%": _percent(row["stitched_event_count"], count),
        "nobody_%": _percent(row["anonymous_event_count"], count),
        "bots": row["bot_event_count"],
        "tests": row["test_event_count"],
        "staff": row["staff_event_count"],
        "wrong_clocks": row["wrong_clock_count"],
        "skew": row["largest_skew_seconds"],
    }


def _draw(classes: Sequence[tuple[str, int]]) -> None:
    """A bar a class; what has an event has a mark."""
    most, total = max(n for _, n in classes), sum(n for _, n in classes)
    console.print("\nReceived after the event, within:", style="bold")
    width = max(len(name) for name, _ in classes)
    for name, n in classes:
        bar = "█" * max(round(BAR * n / most), 1) if n else ""
        line = f"{name.ljust(width)}  {_percent(n, total):>6} %  {bar}{' ' if bar else ''}{n:,}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _percent(part: int, whole: int) -> Decimal:
    return (HUNDRED * part / whole if whole else Decimal(0)).quantize(PERCENT)
