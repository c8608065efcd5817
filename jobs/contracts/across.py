"""Mistakes that only show between files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

from jobs.contracts import copybook_use
from jobs.contracts.errors import Mistake, nearest
from jobs.contracts.fit import shown, unfit, unfit_enum
from jobs.contracts.formats import COMPARED, ArchiveFile, CopybookFile, Edge, Format, Record, XmlFile
from jobs.contracts.kpi import Kpi
from jobs.contracts.model import INCOMING, MONEY_REMEDY, PREVIOUS, Conform, Reconciles, Table
from jobs.contracts.parse import holds_money
from jobs.contracts.profile import Profile, Reference
from jobs.contracts.rule import Rule
from jobs.contracts.source import Source
from jobs.contracts.yaml_file import Place, YamlFile

LAYERS = ("bronze", "silver", "gold")
EVERY_DAY = "every_day"
MAP_CODE = re.compile(r"map_code\(\s*(\w+)")
Tables = Mapping[str, tuple[YamlFile, Table]]
Sources = Mapping[str, tuple[YamlFile, Source]]
References = Mapping[str, tuple[YamlFile, Reference]]


def across(
    profile: tuple[YamlFile, Profile] | None,
    tables: Tables,
    sources: Sources,
    references: References,
    kpis: Sequence[tuple[YamlFile, Kpi]],
    calendars: Collection[str],
    feeds: Collection[str],
    unread: Collection[str],
) -> list[Mistake]:
    """All mistakes between the files of one bank. `unread` (folder.name): files with mistakes of their own, which are not said to be missing as
    well; `profile` is None where it is one of them. `feeds`: all of the bank's, those whose source is unread too."""
    mistakes: list[Mistake] = []
    if profile is not None:
        file, bank = profile
        mistakes += [*_calendar(file, ("calendar",), bank.calendar, calendars), *_stem(file, "profile", bank.profile)]
    for name, (file, _) in references.items():
        mistakes += _stem(file, "reference", name)
    for i, (file, kpi) in enumerate(kpis):
        mistakes += _stem(file, "name", kpi.name)
        if kpi.id in {other.id for _, other in kpis[:i]}:
            mistakes.append(_say(file, ("id",), f"KPI id {kpi.id} is given twice", "Give it a number of its own"))
        fed = sorted(t.table for _, t in tables.values() if INCOMING in t.reads)
        for n, name in enumerate(kpi.tables):
            if name not in fed and name not in unread:
                found = f"{name} is no table that feeds conform to"
                mistakes.append(_say(file, ("tables", n), found, f"Name one of {', '.join(fed)}"))
    for feed, (file, source) in sources.items():
        mistakes += [
            *_stem(file, "feed", feed),
            *_source(file, source, tables, sources, references),
            *_calendar(file, ("schedule", "calendar"), source.schedule.calendar, calendars),
        ]
    mistakes += _names(sources)
    for file, table in tables.values():
        mistakes += [
            *_place(file, table),
            *_reads(file, table, tables),
            *_columns(file, table, tables, references),
            *_rules(file, table, references),
        ]
        if table.sla:
            mistakes += _calendar(file, ("sla", "calendar"), table.sla.calendar, calendars)
        for other, rule in table.reconciles.items():
            mistakes += _reconciles(file, table, other, rule, tables, feeds)
        for target, conform in table.conforms.items():
            if ("conforms", target) in file.lines:  # else of the table that it corrects, and told there
                mistakes += _conforms(file, target, conform, tables, references)
    mistakes += _circles(tables)
    return [m for m in mistakes if not isinstance(m, _Absent) or m.what not in unread]


@dataclass(frozen=True)
class _Absent(Mistake):
    """A name for which there is no file; `what` = folder.name."""

    what: str = ""


def _absent(file: YamlFile, place: Place, what: str, found: str, remedy: str) -> Mistake:
    return _Absent(file.path, file.line(place), found, remedy, what)


def _say(file: YamlFile, place: Place, found: str, remedy: str) -> Mistake:
    return Mistake(file.path, file.line(place), found, remedy)


def _lists(references: References) -> dict[str, Reference]:
    return {name: reference for name, (_, reference) in references.items()}


def _stem(file: YamlFile, key: str, name: str) -> Iterator[Mistake]:
    if file.path.stem != name:
        yield _say(file, (key,), f"{key} {name} stands in {file.path.name}", f"Rename the file to {name}.yaml")


def _calendar(file: YamlFile, place: Place, name: str, calendars: Collection[str]) -> Iterator[Mistake]:
    if name != EVERY_DAY and name not in calendars:
        known = ", ".join([EVERY_DAY, *sorted(calendars)])
        yield _say(
            file,
            place,
            f"there is no calendar {name}",
            f"Known: {known}; a new one is expectations/reference/calendars/{name}.csv",
        )


def _names(sources: Sources) -> Iterator[Mistake]:
    """A name that two sources know says nothing of whose the file is: it would be read as another feed's."""
    for (one_file, one), (other_file, other) in combinations(sources.values(), 2):
        sample = next(
            (
                name
                for name in (*one.files.samples(), *other.files.samples())
                if _know(name, one) and _know(name, other)
            ),
            None,
        )
        if sample is None:
            continue
        # Of a source that is fetched the pattern stands in no file.
        told, its, beside = (one_file, one, other_file) if other.pull else (other_file, other, one_file)
        feed = one.feed if its is other else other.feed
        yield _say(
            told,
            ("files", "pattern"),
            f"a file called {sample} is one of {its.feed}, and of {feed} in {beside.path.name} as well",
            "Give one of the two a pattern that the names of the other's files do not have",
        )


def _know(name: str, source: Source) -> bool:
    return source.conforms_to_name(name) is not None


def _source(
    file: YamlFile, source: Source, tables: Tables, sources: Sources, references: References
) -> Iterator[Mistake]:
    if isinstance(source.format, ArchiveFile):
        if source.schedule.is_owed:
            found = f"{source.feed} is an archive, which owes nothing: its members do"
            yield _say(
                file,
                ("schedule",),
                found,
                "Write schedule: {required: false}; what is due stands in the members' sources",
            )
        return
    if f"bronze.{source.feed}" not in tables:
        yield _absent(
            file,
            ("feed",),
            f"bronze.{source.feed}",
            f"feed {source.feed} has no bronze contract",
            f"Write expectations/bronze/{source.feed}.yaml",
        )
        return
    bronze_file, bronze = tables[f"bronze.{source.feed}"]
    summed = source.control.sum
    if summed and summed not in bronze.columns:
        yield _say(
            file,
            ("control", "sum"),
            f"the trailer's sum is of {summed}, not a column of bronze.{source.feed}",
            nearest(summed, bronze.columns),
        )
    elif summed and bronze.money and summed != bronze.money:
        yield _say(
            file,
            ("control", "sum"),
            f"the trailer's sum is of {summed}, and bronze.{source.feed} balances {bronze.money}",
            "Name the same column in both: money that arrived is compared with money that was written",
        )
    elif summed and not holds_money(bronze.columns[summed].type):
        kind = bronze.columns[summed].type
        yield _say(file, ("control", "sum"), f"the trailer's sum is of {summed}, which is of type {kind}", MONEY_REMEDY)
    yield from _blind(file, source, bronze)
    for key, name, kind in (
        ("entity", source.control.entity, "string"),
        ("businessDate", source.control.business_date, "date"),
    ):
        if name is None:
            continue
        if name not in bronze.columns:
            found = f"{key} is read in {name}, not a column of bronze.{source.feed}"
            yield _say(file, ("control", key), found, nearest(name, bronze.columns))
        elif bronze.columns[name].type != kind or bronze.columns[name].identifies:
            found = f"{key} is read in {name}, which is {'an identifier' if bronze.columns[name].identifies else bronze.columns[name].type}"
            yield _say(
                file, ("control", key), found, f"Name a column of type {kind} that holds what the file's name says"
            )
    if source.format.kind == "fixed_width":
        for name, column in bronze.columns.items():
            if column.width is None:
                yield _say(
                    bronze_file,
                    ("columns", name),
                    f"{name} has no width",
                    "A fixed-width column needs width: N (bytes)",
                )
    if isinstance(source.format, XmlFile):
        for name, column in bronze.columns.items():
            try:
                source.format.path(column.source or name)
            except ValueError as error:
                yield _say(bronze_file, ("columns", name), f"{name}: {error}", "Correct `from`: a path from the record")
    own_date = "business_date" in bronze.columns and bronze.reach_of_dates is None
    if source.sender == "stream" and own_date and source.control.business_date is None:
        yield _say(
            bronze_file,
            ("columns", "business_date"),
            f"rows of {bronze.table} say their business date, and nothing says how far it may lie from their file's: one row of 1970 opens a day of its own",
            "Write reach: {back: 400, ahead: 1}",
        )
    yield from _correction(file, source, bronze_file, bronze, tables, sources)
    if isinstance(source.format, CopybookFile):
        yield from copybook_use.mistakes(file, source.format, bronze_file, bronze, _lists(references))


def _blind(file: YamlFile, source: Source, bronze: Table) -> Iterator[Mistake]:
    """What a header or trailer states and nothing is compared with."""
    other = "Give the field another name if it is not to be compared"
    for part, place, name in _stated(source.format):
        elsewhere = next(where for where in (part, *COMPARED) if name in COMPARED[where])
        if elsewhere != part:
            found = f"{name} of the {part} is compared with nothing: it is read in the {elsewhere}"
            yield _say(file, place, found, f"Declare the {elsewhere} that says it. {other}")
        elif name == "amount_sum" and source.control.sum is None:
            column = bronze.money or "the column that it is the sum of"
            found = f"the {part} states amount_sum, and no column is added up that it could be compared with"
            yield _say(file, place, found, f"Write control: {{sum: {column}}}. {other}")


def _stated(fmt: Format) -> Iterator[tuple[str, Place, str]]:
    """Header or trailer, the place, and the name of each field in it that is compared."""
    for part in COMPARED:
        edge = getattr(fmt, part, None)
        at: Place = ("format", part)
        named: Iterator[tuple[Place, str]] = iter(())
        if isinstance(edge, Record):
            named = (((*at, "fields", n), name) for n, name in enumerate(edge.fields))
        elif isinstance(edge, Edge):
            named = (((*at, "fields", name), name) for name in edge.fields)
        elif isinstance(edge, dict):
            named = (((*at, name), name) for name in edge)
        for place, name in named:
            if any(name in names for names in COMPARED.values()):
                yield part, place, name


def _correction(
    file: YamlFile, source: Source, bronze_file: YamlFile, bronze: Table, tables: Tables, sources: Sources
) -> Iterator[Mistake]:
    """A correction names a table of the same system whose rows say their own date, and owes nothing."""
    if (source.kind == "correction") != (bronze.corrects is not None):
        found = f"{source.feed} is of kind {source.kind}, and {bronze.table} corrects {bronze.corrects or 'nothing'}"
        yield _say(
            file,
            ("kind",),
            found,
            f"Write kind: correction here and corrects: bronze.<feed> in {bronze.name}.yaml, or neither",
        )
        return
    if bronze.corrects is None:
        return
    if (
        bronze.corrects not in tables
        or tables[bronze.corrects][1].corrects
        or bronze.corrects.split(".")[0] != "bronze"
    ):
        known = [name for name, (_, t) in tables.items() if t.layer == "bronze" and t.corrects is None]
        found = f"{bronze.table} corrects {bronze.corrects}, which is no bronze table that others may correct"
        yield _absent(bronze_file, ("corrects",), bronze.corrects, found, nearest(bronze.corrects, known))
        return
    corrected = tables[bronze.corrects][1]
    if not corrected.business_date and "business_date" not in corrected.columns:
        found = f"rows of {corrected.table} do not say their business date"
        yield _say(
            bronze_file,
            ("corrects",),
            found,
            "Give it a column business_date or a businessDate: a correction finds its day by it",
        )
    if corrected.name in sources and sources[corrected.name][1].system != source.system:
        found = (
            f"{source.feed} is of the system {source.system}, what it corrects of {sources[corrected.name][1].system}"
        )
        yield _say(file, ("system",), found, "Name the same system: it is part of the keys")
    if source.schedule.is_owed:
        yield _say(
            file,
            ("schedule",),
            f"{source.feed} is a correction, which nobody owes",
            "Write schedule: {required: false}",
        )


def _place(file: YamlFile, table: Table) -> Iterator[Mistake]:
    if (file.path.parent.name, file.path.stem) != (table.layer, table.name):
        where = f"{file.path.parent.name}/{file.path.name}"
        yield _say(file, ("table",), f"{table.table} stands in {where}", f"Move it to {table.layer}/{table.name}.yaml")


def _reads(file: YamlFile, table: Table, tables: Tables) -> Iterator[Mistake]:
    for i, read in enumerate(table.reads):
        if read in (INCOMING, PREVIOUS):
            continue
        if _is_later(read, table):
            yield _say(
                file,
                ("reads", i),
                f"{table.table} reads {read} of a later layer",
                "Read only the same or earlier layers",
            )
        elif read not in tables:
            yield _absent(
                file, ("reads", i), read, f"{table.table} reads {read}, which has no contract", nearest(read, tables)
            )


def _is_later(read: str, table: Table) -> bool:
    layer = read.split(".")[0]
    return layer in LAYERS and LAYERS.index(layer) > LAYERS.index(table.layer)


def _columns(file: YamlFile, table: Table, tables: Tables, references: References) -> Iterator[Mistake]:
    lists = _lists(references)
    for block in ("columns", "incoming"):
        for name, column in getattr(table, block).items():
            if (block, name) not in file.lines:
                continue  # of the table that it corrects, and told there
            if isinstance(column.enum, str) and column.enum.removeprefix("$") not in references:
                listed = column.enum.removeprefix("$")
                yield _absent(
                    file,
                    (block, name),
                    f"reference.{listed}",
                    f"{name}: reference list {column.enum} does not exist",
                    f"Write expectations/reference/{listed}.yaml",
                )
            if wrong := unfit_enum(column, lists):
                found = f"{name}: enum has {shown(wrong)}, and {name} is of type {column.type}"
                yield _say(file, (block, name), found, "Write values of that type, or correct the type")
            if column.references:
                address, _, target = column.references.rpartition(".")
                if address in tables and target not in tables[address][1].physical_columns:
                    yield _say(
                        file,
                        (block, name),
                        f"{name} references {column.references}, and {address} has no {target}",
                        nearest(target, tables[address][1].physical_columns),
                    )


def _rules(file: YamlFile, table: Table, references: References) -> Iterator[Mistake]:
    lists = _lists(references)
    for i, rule in enumerate(table.rules):
        if ("rules", i) not in file.lines:
            continue  # of the table that it corrects, and told there
        for name, found, remedy in absent_lists(rule, references):
            yield _absent(file, ("rules", i), f"reference.{name}", found, remedy)
        for found, remedy in unfit(rule, table.physical_columns, lists):
            yield _say(file, ("rules", i), found, remedy)


def absent_lists(rule: Rule, references: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Names of reference lists in a rule that do not exist, each with what was found and the remedy."""
    for value in rule.kwargs.values():
        # A regex may begin with $ as well; only the name of a list is a name through and through.
        if isinstance(value, str) and re.fullmatch(r"\$\w+", value) and value[1:] not in references:
            found = f"rule {rule.id}: reference list {value} does not exist"
            yield value[1:], found, nearest(value[1:], references)


def _conforms(
    file: YamlFile, target: str, conform: Conform, tables: Tables, references: References
) -> Iterator[Mistake]:
    at: Place = ("conforms", target)
    if target not in tables:
        yield _absent(file, at, target, f"conforms to {target}, which has no contract", nearest(target, tables))
        return
    wanted = tables[target][1].incoming
    missing = [name for name, column in wanted.items() if column.required and name not in conform.columns]
    for name in conform.columns:
        if name not in wanted:
            near = get_close_matches(name, missing, n=1)
            missing = [other for other in missing if other not in near]
            remedy = f"Did you mean {near[0]}?" if near else f"It takes: {', '.join(wanted)}"
            yield _say(file, (*at, "columns", name), f"{target} takes no {name}", remedy)
    for name in missing:
        yield _say(file, at, f"{target} needs {name}", f"Add an expression for {name}")
    for block in ("columns", "where"):
        for name, expression in getattr(conform, block).items():
            for listed in MAP_CODE.findall(expression):
                if listed not in references:
                    yield _absent(
                        file,
                        (*at, block, name),
                        f"reference.{listed}",
                        f"{name}: code map {listed} does not exist",
                        nearest(listed, references),
                    )
                elif not references[listed][1].map:
                    yield _say(
                        file,
                        (*at, block, name),
                        f"{name}: {listed} is a list of values, not a code map",
                        "Use a reference with a `map:`",
                    )


def _reconciles(
    file: YamlFile, table: Table, other: str, rule: Reconciles, tables: Tables, feeds: Collection[str]
) -> Iterator[Mistake]:
    at: Place = ("reconciles", other)
    if table.layer != "bronze" or not other.startswith("bronze."):
        yield _say(file, at, f"{table.table} reconciles with {other}: both must be of bronze", "Compare two feeds")
        return
    if other not in tables:
        yield _absent(file, at, other, f"reconciles with {other}, which has no contract", nearest(other, tables))
        return
    for key, wanted, side in (
        *(("keys", name, side) for name in rule.keys for side in (table, tables[other][1])),
        ("left", rule.left, table),
        ("right", rule.right, tables[other][1]),
        *((("only", rule.only, table),) if rule.only else ()),
    ):
        if wanted not in side.physical_columns:
            yield _say(
                file,
                (*at, key),
                f"{key} names {wanted}, which is not a column of {side.table}",
                nearest(wanted, side.physical_columns),
            )
        elif key in ("left", "right") and not holds_money(side.physical_columns[wanted].type):
            yield _say(
                file, (*at, key), f"{key} {wanted} is of type {side.physical_columns[wanted].type}", MONEY_REMEDY
            )
        elif key == "only" and side.physical_columns[wanted].type != "boolean":
            yield _say(file, (*at, key), f"only {wanted} is no boolean", "Name a column that is true or false")
    for n, feed in enumerate(rule.blocks):
        if feed not in feeds:
            yield _say(file, (*at, "blocks", n), f"blocks names {feed}, which is no feed", nearest(feed, feeds))


def _circles(tables: Tables) -> Iterator[Mistake]:
    """Each circle of reads once, told at the read that closes it."""
    done: set[str] = set()
    for start in sorted(tables):
        path: list[str] = []

        def walk(address: str, path: list[str] = path) -> Iterator[Mistake]:
            if address in done or address not in tables:
                return
            if address in path:
                file, table = tables[path[-1]]
                circle = " -> ".join([*path[path.index(address) :], address])
                yield _say(
                    file,
                    ("reads", table.reads.index(address)),
                    f"these tables read each other in a circle: {circle}",
                    f"Break the circle; a table's own last state is `{PREVIOUS}`",
                )
                return
            path.append(address)
            for read in tables[address][1].reads:
                if not _is_later(read, tables[address][1]):
                    yield from walk(read)
            path.pop()
            done.add(address)

        yield from walk(start)
