"""Everything that one bank promises, in one object."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from jobs.contracts.across import EVERY_DAY, LAYERS, across
from jobs.contracts.calendar import NOTICE, CalendarDay, CalendarEnd, read_calendar
from jobs.contracts.copybook import CopybookError
from jobs.contracts.errors import ContractError, Mistake, nearest
from jobs.contracts.formats import CopybookFile
from jobs.contracts.kpi import Kpi
from jobs.contracts.mending import certain, mended
from jobs.contracts.model import INCOMING, PREVIOUS, Table
from jobs.contracts.profile import Profile, Reference
from jobs.contracts.reading import M, typed
from jobs.contracts.rule import Rule
from jobs.contracts.schedule import Schedule
from jobs.contracts.source import Source
from jobs.contracts.yaml_file import YamlFile, read_yaml
from jobs.settings import settings

__all__ = ["Catalog", "Profile", "Reference", "load", "profiles", "served"]


@dataclass(frozen=True)
class Catalog:
    """One bank's contracts. Tables of `bronze` are those whose feed the bank has; silver, gold and KPIs are shared by
    all banks."""

    profile: Profile
    tables: dict[str, Table]
    sources: dict[str, Source]
    kpis: dict[str, Kpi]
    references: dict[str, Reference]
    calendars: dict[str, dict[date, CalendarDay]] = field(repr=False, default_factory=dict)
    root: Path = field(repr=False, default=Path("expectations"))

    def bronze(self, feed: str) -> Table:
        return self.tables[f"bronze.{feed}"]

    def layer(self, layer: str) -> list[Table]:
        return [t for t in self.tables.values() if t.layer == layer]

    def feeding(self, table: str) -> list[Table]:
        """Bronze tables that conform to a silver table, in a fixed order."""
        return [t for t in self.layer("bronze") if table in t.conforms]

    def correcting(self, table: Table) -> list[Table]:
        """Bronze tables whose rows replace rows of this one."""
        return [t for t in self.layer("bronze") if t.corrects == table.table]

    def built_from(self, table: str) -> set[str]:
        """Silver and gold tables that rows of this one can reach: it conforms to them, or they read one that it reaches."""
        reached = {table, *self.tables[table].conforms}
        while more := {t.table for t in self.tables.values() if reached & set(t.reads)} - reached:
            reached |= more
        return reached - {table}

    def resolve(self, value: Any) -> Any:
        """`$name` -> the reference list's values; anything else as it is."""
        if isinstance(value, str) and value.startswith("$") and value[1:] in self.references:
            return self.references[value[1:]].allowed()
        return value

    def rules(self, table: Table) -> list[Rule]:
        """All rules of a table, written and implied, with `$lists` resolved."""
        return [
            rule.model_copy(update={"kwargs": {k: self.resolve(v) for k, v in rule.kwargs.items()}})
            for rule in table.all_rules
        ]

    def with_codes(self, codes: Mapping[str, Mapping[str, str | None]]) -> Catalog:
        """The same with further codes: reference list -> code -> meaning (None for a list that gives none). What the list says itself stays."""
        known = {name: list_.with_codes(codes[name]) for name, list_ in self.references.items() if codes.get(name)}
        return replace(self, references=self.references | known)

    def is_business_day(self, day: date, calendar: str | None = None) -> bool:
        """Raises ContractError when the calendar does not cover the day: a guess would be a silent error."""
        return self.calendar_day(day, calendar).is_working_day

    def calendar_day(self, day: date, calendar: str | None = None) -> CalendarDay:
        """What a calendar (None: the bank's own) says of a day. Raises ContractError when it does not cover it."""
        name = calendar or self.profile.calendar
        if name == EVERY_DAY:
            return CalendarDay(day, True)
        days = self.calendars.get(name, {})
        if day not in days:
            raise ContractError(
                [
                    Mistake(
                        self._calendar_file(name),
                        1,
                        f"the calendar {name} does not cover {day}",
                        f"Add the official days of {day.year}",
                    )
                ]
            )
        return days[day]

    def covers(self, day: date, calendar: str) -> bool:
        """Whether a calendar says anything of a day."""
        return calendar == EVERY_DAY or day in self.calendars.get(calendar, {})

    def ending_calendars(self, today: date) -> list[CalendarEnd]:
        """The calendars by which days are told and lanes are owed that do not know each day of the next month."""
        names = {self.profile.calendar, *(source.schedule.calendar for source in self.sources.values())}
        near = [today + timedelta(days=n) for n in range(NOTICE.days + 1)]
        missing = {name: next((day for day in near if not self.covers(day, name)), None) for name in sorted(names)}
        return [CalendarEnd(name, day, self._calendar_file(name)) for name, day in missing.items() if day is not None]

    def _calendar_file(self, name: str) -> Path:
        return self.root / "reference" / "calendars" / f"{name}.csv"

    def is_due_on(self, day: date, schedule: Schedule) -> bool:
        """Whether a lane of the day is owed. Raises ContractError when the calendar does not cover the day or, of what comes once a month, the days before."""
        if not self.is_business_day(day, schedule.calendar):
            return False
        month = (day.replace(day=n) for n in range(1, day.day + 1))
        return schedule.working_day is None or schedule.working_day == sum(
            self.is_business_day(one, schedule.calendar) for one in month
        )

    def build_order(self) -> list[Table]:
        """Silver and gold tables, each after all it reads."""
        order: list[Table] = []
        todo = [t for t in self.tables.values() if t.layer != "bronze"]
        done = {t.table for t in self.layer("bronze")}
        while todo:
            ready = [t for t in todo if all(r in done or r in (INCOMING, PREVIOUS) for r in t.reads)]
            if not ready:
                names = ", ".join(sorted(t.table for t in todo))
                raise ContractError(
                    [
                        Mistake(
                            self.root,
                            1,
                            f"these tables read each other in a circle, or one without a contract: {names}",
                            "Correct their reads",
                        )
                    ]
                )
            for table in ready:
                order.append(table)
                done.add(table.table)
                todo.remove(table)
        return order


def profiles() -> list[str]:
    return sorted(p.stem for p in (settings().expectations / "profiles").glob("*.yaml"))


def served() -> list[str]:
    """Profiles that Airflow works for: those of LEDGERLAKE_PROFILES (comma-separated), or all that have contracts."""
    chosen = os.environ.get("LEDGERLAKE_PROFILES")
    return [p.strip() for p in chosen.split(",")] if chosen else profiles()


def load(profile: str, root: Path | None = None) -> Catalog:
    """All contracts of one bank. Raises ContractError listing every mistake found, each with file, line and remedy.

    The files are read again when one of them has changed, come or gone; else what this process, or the one that it was
    forked from, has read holds.
    """
    root = root or settings().expectations
    return _read(profile, root, _state(root))


def _state(root: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file."""
    files = [Path(folder) / name for folder, _, names in os.walk(root) for name in names]
    found = [(str(path), path.stat()) for path in sorted(files)]
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)


@lru_cache(maxsize=4)
def _read(profile: str, root: Path, state: tuple[tuple[str, int, int], ...]) -> Catalog:
    files = _files(profile, root)
    if files.mistakes or files.bank is None:
        raise ContractError(files.mistakes)
    tables = {name: t for name, (_, t) in files.tables.items()}
    return Catalog(
        files.bank[1],
        tables,
        {name: s for name, (_, s) in files.sources.items()},
        {k.id: k.of_feeds(t.name for t in tables.values() if set(k.tables) & set(t.conforms)) for _, k in files.kpis},
        {name: r for name, (_, r) in files.references.items()},
        files.calendars,
        root,
    )


def check(profile: str, root: Path | None = None) -> Catalog:
    """As `load`, and the SQL in contracts is looked at as well. Raises ContractError listing every mistake of all files that could be read."""
    from jobs.contracts import sql

    root = root or settings().expectations
    files = _files(profile, root)
    of_sql = sql.mistakes(files.tables, files.references, files.vague)
    if mistakes := [*files.mistakes, *of_sql, *passed_over(root)]:
        raise ContractError(mistakes)
    return load(profile, root)


# Where which files are read, and what belongs there.
READ = {**dict.fromkeys(("profiles", "reference", "kpis", *LAYERS), ".yaml"), "reference/calendars": ".csv"}
SUFFIXES = {".yaml": ".yaml", ".yml": ".yaml", ".csv": ".csv"}


def passed_over(root: Path) -> Iterator[Mistake]:
    """Files that look as if they said something, and that nobody reads for their name or their place."""
    banks = {path.stem for path in (root / "profiles").glob("*.yaml")}
    read = READ | {f"sources/{bank}": ".yaml" for bank in banks}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        suffix = SUFFIXES.get(path.suffix.lower())
        if suffix is None:
            continue
        place = path.parent.relative_to(root).as_posix()
        if read.get(place) != suffix:
            where = " or ".join(f"{folder}/" for folder, wanted in sorted(read.items()) if wanted == suffix)
            if place.startswith("sources/") and place.count("/") == 1:
                bank = path.parent.name
                found = f"this file is of no bank: there is no profiles/{bank}.yaml, and nobody reads it"
                yield Mistake(path, 0, found, f"{nearest(bank, banks)} Sources are read in sources/<bank>/")
            elif place == "sources":
                where = " or ".join(f"sources/{bank}/" for bank in sorted(banks))
                yield Mistake(path, 0, "nobody reads a file that stands here", f"Put it in its bank's folder: {where}")
            else:
                yield Mistake(path, 0, "nobody reads a file that stands here", f"Put it where it is read: {where}")
        elif path.suffix != suffix:
            yield Mistake(path, 0, f"nobody reads a file that ends in {path.suffix}", f"Call it {path.stem}{suffix}")


@dataclass
class _Files:
    """What could be read of a bank's files, each with its file, and all mistakes in them and between them. `vague`: names of columns of which it is not known what they
    are."""

    bank: tuple[YamlFile, Profile] | None
    tables: dict[str, tuple[YamlFile, Table]] = field(default_factory=dict)
    sources: dict[str, tuple[YamlFile, Source]] = field(default_factory=dict)
    references: dict[str, tuple[YamlFile, Reference]] = field(default_factory=dict)
    kpis: list[tuple[YamlFile, Kpi]] = field(default_factory=list)
    calendars: dict[str, dict[date, CalendarDay]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    vague: set[str] = field(default_factory=set)


def _files(profile: str, root: Path) -> _Files:
    mistakes: list[Mistake] = []
    unread: set[str] = set()
    vague: set[str] = set()

    def each(folder: Path, model: type[M]) -> list[tuple[YamlFile, M]]:
        found = []
        for path in sorted(folder.glob("*.yaml")):
            file: YamlFile | None = None
            try:
                file = _as_corrected(read_yaml(path, mistakes))
                found.append((file, typed(file, model)))
            except ContractError as error:
                mistakes.extend(error.mistakes)
                unread.add(f"{folder.name}.{path.stem}")
                if file is not None and model is Table and (part := mended(file, error)):
                    found.append((file, part.table))  # type: ignore[arg-type]
                    mistakes.extend(part.more)
                    vague.update(part.vague)
        return found

    banks = {p.stem for p in (root / "profiles").glob("*.yaml")}
    if profile not in banks:
        path = root / "profiles" / f"{profile}.yaml"
        raise ContractError(
            [Mistake(path, 1, f"there is no bank called {profile}", f"Known: {', '.join(sorted(banks)) or 'none'}")]
        )
    bank = next((pair for pair in each(root / "profiles", Profile) if pair[0].path.stem == profile), None)
    sources = {}
    for file, source in each(root / "sources" / profile, Source):
        try:
            sources[source.feed] = (file, _described(file, source))
        except ContractError as error:
            mistakes.extend(error.mistakes)
            sources[source.feed] = (file, source)
    # A source that cannot be read is one all the same: its bronze contract is the bank's.
    feeds = {*sources, *(name.partition(".")[2] for name in unread if name.startswith(f"{profile}."))}
    references = {r.reference: (f, r) for f, r in each(root / "reference", Reference)}
    kpis = each(root / "kpis", Kpi)
    tables: dict[str, tuple[YamlFile, Table]] = {}
    for layer in LAYERS:
        for file, table in each(root / layer, Table):
            if layer != "bronze" or table.name in feeds:
                tables[table.table] = (file, table)
    calendars: dict[str, dict[date, CalendarDay]] = {}
    for path in sorted((root / "reference" / "calendars").glob("*.csv")):
        try:
            calendars[path.stem] = read_calendar(path)
        except ContractError as error:
            mistakes.extend(error.mistakes)
            calendars[path.stem] = {}
    mistakes.extend(certain(across(bank, tables, sources, references, kpis, calendars, feeds, unread), vague))
    # A mistake in what a correction takes from another contract is found in both.
    return _Files(bank, tables, sources, references, kpis, calendars, list(dict.fromkeys(mistakes)), vague)


# What a correction has of the table that it corrects.
OF_CORRECTED = ("rules", "conforms", "money", "businessDate", "affects")


def _as_corrected(file: YamlFile) -> YamlFile:
    """A contract that corrects another table has its columns, rules and conforms before its own, so that they have one home.

    Raises ContractError when there is no such table."""
    corrected = file.data.get("corrects") if isinstance(file.data, dict) else None
    path = file.path.parent / f"{str(corrected).rpartition('.')[2]}.yaml"
    if corrected is None:
        return file
    if not path.exists() or path == file.path:
        known = [f"bronze.{other.stem}" for other in path.parent.glob("*.yaml") if other != file.path]
        found = f"{file.data.get('table')} corrects {corrected}, which is no bronze table that others may correct"
        raise ContractError([Mistake(file.path, file.line(("corrects",)), found, nearest(str(corrected), known))])
    base = read_yaml(path, [])
    theirs = base.data.get("columns") if isinstance(base.data, dict) else None
    own = file.data.get("columns") or {}
    if not isinstance(theirs, dict):
        raise ContractError([])  # told where it stands
    if not isinstance(own, dict):
        return file
    taken = {key: base.data[key] for key in OF_CORRECTED if key in base.data}
    return YamlFile(file.path, taken | file.data | {"columns": theirs | own}, file.lines, base)


def _described(file: YamlFile, source: Source) -> Source:
    """A source with the copybook that its format names, from the same folder. Raises ContractError naming the copybook's line."""
    if not isinstance(source.format, CopybookFile):
        return source
    path = file.path.parent / source.format.copybook
    try:
        return source.model_copy(update={"format": source.format.described_by(path.read_text("utf-8"))})
    except CopybookError as error:
        raise ContractError([Mistake(path, error.line, error.found, error.remedy)]) from error
    except (OSError, UnicodeDecodeError) as error:
        found = f"the copybook {source.format.copybook} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ContractError(
            [Mistake(file.path, file.line(("format", "copybook")), found, f"Put it into {file.path.parent}, in UTF-8")]
        ) from error
