"""Everything that one bank promises, in one object."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError

from jobs.contracts.errors import ContractError, Mistake
from jobs.contracts.kpi import Kpi
from jobs.contracts.model import INCOMING, PREVIOUS, Rule, Strict, Table
from jobs.contracts.source import Source
from jobs.contracts.yaml_file import YamlFile, read_yaml
from jobs.settings import settings

LAYERS = ("bronze", "silver", "gold")
M = TypeVar("M", bound=Strict)


class Profile(Strict):
    """A bank: its zone, reporting currency, calendar and closing time."""

    profile: str
    title: dict[str, str]
    zone: str
    currency: str
    calendar: str
    close_by: str = Field("23:50", alias="closeBy", description="local time at which a day is processed with what is there")
    close_by_day: int = Field(0, alias="closeByDay")
    balance_floor: str = Field("100", alias="balanceFloor", description="active party: at least this total balance")
    environment: str = Field("test", description="`test` refuses feeds not marked synthetic or de-identified (rule CL-6)")

    def local(self, day: date, at: str, plus_days: int = 0) -> datetime:
        """The instant of a local time of day on a bank day."""
        return datetime.combine(day + timedelta(days=plus_days), time.fromisoformat(at), ZoneInfo(self.zone))


class Reference(Strict):
    """A list of values or a code map, versioned: `expectations/reference/<name>.yaml`."""

    reference: str
    version: str
    description: str
    values: list[Any] = Field(default_factory=list)
    map: dict[str, str] = Field(default_factory=dict)

    def allowed(self) -> list[Any]:
        return list(self.values) or list(self.map)


@dataclass(frozen=True)
class Catalog:
    """One bank's contracts. Tables of `bronze` are those whose feed the bank has; silver, gold and KPIs are shared by all banks."""

    profile: Profile
    tables: dict[str, Table]
    sources: dict[str, Source]
    kpis: dict[str, Kpi]
    references: dict[str, Reference]
    calendars: dict[str, dict[date, bool]] = field(repr=False, default_factory=dict)

    def bronze(self, feed: str) -> Table:
        return self.tables[f"bronze.{feed}"]

    def layer(self, layer: str) -> list[Table]:
        return [t for t in self.tables.values() if t.layer == layer]

    def feeding(self, table: str) -> list[Table]:
        """Bronze tables that conform to a silver table, in a fixed order."""
        return [t for t in self.layer("bronze") if table in t.conforms]

    def resolve(self, value: Any) -> Any:
        """`$name` -> the reference list's values; anything else as it is."""
        if isinstance(value, str) and value.startswith("$"):
            return self.references[value[1:]].allowed()
        return value

    def rules(self, table: Table) -> list[Rule]:
        """All rules of a table, written and implied, with `$lists` resolved."""
        return [
            rule.model_copy(update={"kwargs": {k: self.resolve(v) for k, v in rule.kwargs.items()}})
            for rule in table.all_rules
        ]

    def is_business_day(self, day: date, calendar: str | None = None) -> bool:
        """Raises ContractError when the calendar does not cover the day: a guess would be a silent error."""
        name = calendar or self.profile.calendar
        if name == "every_day":
            return True
        days = self.calendars.get(name, {})
        if day not in days:
            path = settings().expectations / "reference" / "calendars" / f"{name}.csv"
            raise ContractError([Mistake(path, 1, f"the calendar {name} does not cover {day}", "Add that year's official days")])
        return days[day]

    def build_order(self) -> list[Table]:
        """Silver and gold tables, each after all it reads."""
        order: list[Table] = []
        todo = [t for t in self.tables.values() if t.layer != "bronze"]
        done = {t.table for t in self.layer("bronze")}
        while todo:
            ready = [t for t in todo if all(r in done or r in (INCOMING, PREVIOUS) for r in t.reads)]
            if not ready:
                names = ", ".join(sorted(t.table for t in todo))
                raise ContractError([Mistake(Path("expectations"), 1, f"these tables read each other in a circle: {names}", "Break the circle")])
            for table in ready:
                order.append(table)
                done.add(table.table)
                todo.remove(table)
        return order


def profiles() -> list[str]:
    return sorted(p.stem for p in (settings().expectations / "profiles").glob("*.yaml"))


@cache
def load(profile: str, root: Path | None = None) -> Catalog:
    """All contracts of one bank. Raises ContractError listing every mistake found, each with file, line and remedy."""
    root = root or settings().expectations
    mistakes: list[Mistake] = []

    def each(folder: Path, model: type[M]) -> list[tuple[YamlFile, M]]:
        found = []
        for path in sorted(folder.glob("*.yaml")):
            try:
                file = read_yaml(path)
                found.append((file, _typed(file, model)))
            except ContractError as error:
                mistakes.extend(error.mistakes)
        return found

    profile_path = root / "profiles" / f"{profile}.yaml"
    if not profile_path.exists():
        known = ", ".join(sorted(p.stem for p in (root / "profiles").glob("*.yaml")))
        raise ContractError([Mistake(profile_path, 1, f"there is no bank called {profile}", f"Known: {known}")])
    the_profile = _typed(read_yaml(profile_path), Profile)
    sources = {s.feed: (f, s) for f, s in each(root / "sources" / profile, Source)}
    references = {r.reference: r for _, r in each(root / "reference", Reference)}
    kpis = {k.id: k for _, k in each(root / "kpis", Kpi)}
    tables: dict[str, tuple[YamlFile, Table]] = {}
    for layer in LAYERS:
        for file, table in each(root / layer, Table):
            if layer != "bronze" or table.name in sources:
                tables[table.table] = (file, table)
    mistakes.extend(_across(tables, sources, references))
    if mistakes:
        raise ContractError(mistakes)
    return Catalog(
        the_profile,
        {name: t for name, (_, t) in tables.items()},
        {name: s for name, (_, s) in sources.items()},
        kpis,
        references,
        {p.stem: _calendar(p) for p in sorted((root / "reference" / "calendars").glob("*.csv"))},
    )


def _typed(file: YamlFile, model: type[M]) -> M:
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        raise ContractError(
            [Mistake(file.path, file.line(_place(e["loc"])), _found(e), _remedy(e, model)) for e in error.errors()]
        ) from error


def _place(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return tuple(location)


def _found(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _remedy(error: Any, model: type[Strict]) -> str:
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(f.alias or n for n, f in model.model_fields.items()))
        return f"Take it out or correct its spelling; keys here: {known}"
    if error["type"] == "missing":
        return "Add it"
    return "Correct it"


def _across(
    tables: dict[str, tuple[YamlFile, Table]], sources: dict[str, tuple[YamlFile, Source]], references: dict[str, Reference]
) -> list[Mistake]:
    """Mistakes that only show between files."""
    mistakes: list[Mistake] = []

    def say(file: YamlFile, place: tuple[str | int, ...], found: str, remedy: str) -> None:
        mistakes.append(Mistake(file.path, file.line(place), found, remedy))

    for feed, (file, source) in sources.items():
        if file.path.stem != feed:
            say(file, ("feed",), f"feed {feed} stands in {file.path.name}", f"Rename the file to {feed}.yaml")
        if f"bronze.{feed}" not in tables:
            say(file, ("feed",), f"feed {feed} has no bronze contract", f"Write expectations/bronze/{feed}.yaml")
        else:
            bronze = tables[f"bronze.{feed}"][1]
            summed = source.control.get("sum")
            if summed and summed not in bronze.columns:
                say(file, ("control",), f"the trailer's sum is of {summed}, not a column", f"Name a column of bronze.{feed}")
            if source.format.kind == "fixed_width":
                for name, column in bronze.columns.items():
                    if column.width is None:
                        bronze_file = tables[f"bronze.{feed}"][0]
                        say(bronze_file, ("columns", name), f"{name} has no width", "A fixed-width column needs width: N (bytes)")
    for address, (file, table) in tables.items():
        if file.path.stem != table.name or file.path.parent.name != table.layer:
            say(file, ("table",), f"{address} stands in {file.path.parent.name}/{file.path.name}", f"Move it to {table.layer}/{table.name}.yaml")
        for i, read in enumerate(table.reads):
            if read in (INCOMING, PREVIOUS):
                continue
            if read not in tables:
                say(file, ("reads", i), f"{address} reads {read}, which has no contract", "Correct the name or write its contract")
            elif LAYERS.index(read.split(".")[0]) > LAYERS.index(table.layer):
                say(file, ("reads", i), f"{address} reads {read} of a later layer", "Read only the same or earlier layers")
        for name, column in table.columns.items():
            if isinstance(column.enum, str) and column.enum.lstrip("$") not in references:
                say(file, ("columns", name), f"{name}: reference list {column.enum} does not exist", "Write expectations/reference/<name>.yaml")
        for i, rule in enumerate(table.rules):
            for value in rule.kwargs.values():
                if isinstance(value, str) and value.startswith("$") and value[1:] not in references:
                    say(file, ("rules", i), f"rule {rule.id}: reference list {value} does not exist", "Write it or correct the name")
        for target, conform in table.conforms.items():
            mistakes.extend(_conforms(file, target, conform, tables))
    return mistakes


def _conforms(file: YamlFile, target: str, conform: Any, tables: dict[str, tuple[YamlFile, Table]]) -> list[Mistake]:
    if target not in tables:
        return [Mistake(file.path, file.line(("conforms", target)), f"conforms to {target}, which has no contract", "Correct the name")]
    wanted = tables[target][1].incoming
    mistakes = [
        Mistake(file.path, file.line(("conforms", target, "columns", c)), f"{target} takes no {c}", f"It takes: {', '.join(wanted)}")
        for c in conform.columns
        if c not in wanted
    ]
    return mistakes + [
        Mistake(file.path, file.line(("conforms", target)), f"{target} needs {c}", f"Add an expression for {c}")
        for c, column in wanted.items()
        if column.required and c not in conform.columns
    ]


def _calendar(path: Path) -> dict[date, bool]:
    with path.open(encoding="utf-8") as lines:
        return {date.fromisoformat(r["calendar_date"]): r["is_working_day"] == "true" for r in csv.DictReader(lines)}
