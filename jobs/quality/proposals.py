"""Rules proposed from what past days looked like, in contract form, each with its evidence and tried on the same days.

Bounds leave honest room: past days are a sample of what is right. What may be a person's or a customer's value never stands in a rule: of such columns only the
form, and extremes rounded away from them. What keeps rows or files back is proposed for what held without exception; the rest warns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from jobs.contracts import Rule, Table
from jobs.contracts.expectations import BETWEEN, UNIQUE
from jobs.contracts.profile import Reference
from jobs.contracts.yaml_file import NORWAY
from jobs.quality.profile import TEMPORAL, ColumnProfile, Pair, Profile, plain_date, profiled
from jobs.quality.trial import Subject, tried

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Fewer given values than this prove nothing of a column; fewer subjects nothing of what is usual.
ENOUGH_VALUES, ENOUGH_SUBJECTS = 30, 5
# A code may be listed when no value of it was new in the later half of at least so many days; and as many days tell what is usual.
ENOUGH_DAYS = 4
# A share of rows below which a column that is nearly always given is one that is sometimes given.
NEARLY_ALWAYS = 0.95
MOST_FORMS = 3
# Sums and means of which one is so many times another have no usual size.
FAR_APART = 100
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Years that a date may lie ahead: a bound that is reached before the contract is looked at again would be a false alarm.
YEARS_AHEAD = 10
FORM = re.compile(r"[9aA_.:/#+-]+")
CLASSES = {"9": r"\d", "a": "[a-z]", "A": "[A-Z]"}
NOT_NULL, IN_SET, MATCH = (
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_match_regex",
)
VALUES, LENGTHS = "expect_column_values_to_be_between", "expect_column_value_lengths_to_be_between"
ABOVE, EQUAL = "expect_column_pair_values_a_to_be_greater_than_b", "expect_column_pair_values_to_be_equal"
SHARE, MEAN = "expect_column_proportion_of_non_null_values_to_be_between", "expect_column_mean_to_be_between"
SUM, COUNT = "expect_column_sum_to_be_between", "expect_table_row_count_to_be_between"
# One of these says already what a column's text may be.
SAYS_FORM = {IN_SET, MATCH, LENGTHS, "expect_column_value_lengths_to_equal"}


@dataclass(frozen=True)
class Proposal:
    """A rule as it may stand in a contract, and what was seen that speaks for it."""

    rule: Rule
    evidence: str

    def as_json(self) -> dict[str, Any]:
        """The rule as a contract has it, with `evidence` beside."""
        return {
            "id": self.rule.id,
            "onFail": self.rule.on_fail,
            self.rule.expectation: dict(self.rule.kwargs),
            "evidence": self.evidence,
        }

    def as_yaml(self) -> str:
        """Two lines to be pasted under `rules:`: the evidence as a comment, and the rule."""
        return f"  # {self.evidence}\n  - {_flow({'id': self.rule.id, 'onFail': self.rule.on_fail, self.rule.expectation: self.rule.kwargs})}"


def suggested(
    rows: DataFrame, table: Table, subjects: Sequence[Subject], references: Mapping[str, Reference], folder: Path,
    *, within: Sequence[str], order: Sequence[str], progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Proposal], list[Proposal]]:  # fmt: skip
    """Proposals that would have kept nothing back and warned of nothing on these days, and those that were left out because they would have.

    `rows`, `subjects`, `within`, `order`: as for `tried`. `folder`: there, and empty; what is measured and judged is left in it.
    """
    rows.write.parquet(str(folder / "rows"))
    files = [str(file) for file in sorted((folder / "rows").glob("*.parquet"))]
    progress("Looking at each column.")
    profile = profiled(files, table, subjects, within)
    made = proposals(profile, table, references)
    kept, left_out = made, list[Proposal]()
    for attempt in range(len(made) + 1):
        if not kept:
            break
        progress(f"Trying {len(kept)} rules on the same days.")
        known = rows.sparkSession.read.schema(rows.schema).parquet(str(folder / "rows"))
        trials = tried(
            known,
            table,
            [resolved(p.rule, references) for p in kept],
            subjects,
            folder / f"judged{attempt}",
            within=within,
            order=order,
        )
        spoke = {trial.rule for trial in trials if trial.outcome != "pass"}
        left_out += [p for p in kept if p.rule.id in spoke]
        kept = [p for p in kept if p.rule.id not in spoke]
        if not spoke:
            break
    return kept, left_out


def proposals(profile: Profile, table: Table, references: Mapping[str, Reference]) -> list[Proposal]:
    """What the profile speaks for and the contract does not promise already, in the order of the columns."""
    # Branches differ more than days: what is usual is told by both.
    usual = len({subject.day for subject in profile.counts}) >= ENOUGH_DAYS
    found: list[Proposal] = []
    for column in profile.columns.values():
        found += _given(column, usual)
        if column.given >= ENOUGH_VALUES and not column.is_secret:
            found += _text(column, references) if column.kind == "string" else _bounds(column, profile.newest)
            found += _mean(column) if usual else ()
    found += [p for pair in profile.pairs for p in _pair(pair, profile)]
    found += [*_key(profile), *(_count(profile) if usual else ()), *(_sum(profile, table) if usual else ())]
    taken = {rule.id for rule in table.all_rules}
    new = [p for p in (_unpromised(p, table) for p in found) if p is not None]
    return [
        Proposal(p.rule.model_copy(update={"id": f"{p.rule.id}_seen"}), p.evidence) if p.rule.id in taken else p
        for p in new
    ]


def resolved(rule: Rule, references: Mapping[str, Reference]) -> Rule:
    named = rule.kwargs.get("value_set")
    if not isinstance(named, str):
        return rule
    return rule.model_copy(update={"kwargs": {**rule.kwargs, "value_set": references[named[1:]].allowed()}})


def _proposal(rule_id: str, on_fail: str, expectation: str, evidence: str, **kwargs: Any) -> Proposal:
    return Proposal(Rule.model_validate({"id": rule_id, "onFail": on_fail, expectation: kwargs}), evidence)


def _of(column: ColumnProfile) -> str:
    return f"{_number(column.given)} values on {_days(column.days)}"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _number(number: int | float | Decimal) -> str:
    return f"{number:,}"


def _given(c: ColumnProfile, usual: bool) -> Iterator[Proposal]:
    """Never null; nearly never; or null as often as usual."""
    if c.rows < ENOUGH_VALUES or not c.given:
        return
    if c.given == c.rows:
        yield _proposal(
            f"{c.name}_given",
            "quarantine",
            NOT_NULL,
            f"given in all {_number(c.rows)} rows of {_days(c.days)}",
            column=c.name,
        )
        return
    if not usual or len(c.shares) < ENOUGH_SUBJECTS:
        return
    low, high = min(c.shares), max(c.shares)
    seen = f"given in {low:.1%} to {high:.1%} of the rows, {len(c.shares)} times on {c.days} days"
    if low >= NEARLY_ALWAYS:
        mostly = math.floor((1 - 2 * (1 - low)) * 1000) / 1000
        if mostly < 1:
            yield _proposal(f"{c.name}_mostly_given", "warn", NOT_NULL, seen, column=c.name, mostly=mostly)
        return
    room = max(0.05, high - low)
    bounds = {"min_value": math.floor((low - room) * 100) / 100, "max_value": math.ceil((high + room) * 100) / 100}
    inside = {k: v for k, v in bounds.items() if 0 < v < 1}
    if inside:
        yield _proposal(f"{c.name}_as_often_given", "warn", SHARE, seen, column=c.name, **inside)


def _text(c: ColumnProfile, references: Mapping[str, Reference]) -> Iterator[Proposal]:
    """A list of codes; else the forms of a key or number in text; else how long a text is."""
    if c.values is not None and c.days >= ENOUGH_DAYS:
        late = [v for v, seen in c.values.items() if seen.is_late]
        rare = [v for v, seen in c.values.items() if seen.rows == 1]
        listed = _list_of(c, references) or sorted(c.values)
        how = f"{len(c.values)} different values in {_of(c)}"
        is_closed = not late and not rare
        news = (
            "none new in the later half of them"
            if is_closed
            else "and the list may not be whole: some came late or once"
        )
        yield _proposal(
            f"{c.name}_listed",
            "quarantine" if is_closed else "warn",
            IN_SET,
            f"{how}, {news}",
            column=c.name,
            value_set=listed,
        )
        return
    regex = _regex(c)
    if regex is not None:
        yield _proposal(f"{c.name}_form", "quarantine", MATCH, f"the form of all {_of(c)}", column=c.name, regex=regex)
    else:
        longest = int(_rounded_up(2 * c.longest))
        yield _proposal(
            f"{c.name}_length",
            "warn",
            LENGTHS,
            f"at most {c.longest} characters in {_of(c)}; twice that leaves room",
            column=c.name,
            max_value=longest,
        )


def _list_of(c: ColumnProfile, references: Mapping[str, Reference]) -> str | None:
    """The one reference list that has all these values and is called as the column is."""
    stems = {word[:-1] if word.endswith(("y", "s")) else word for word in (c.name, c.name.partition("_")[0])}
    having = [
        name for name, reference in references.items()
        if set(c.values or ()) <= set(map(str, reference.allowed())) and any(stem in name for stem in stems)
    ]  # fmt: skip
    exact = [name for name in having if c.name in name]
    for found in (exact, having):
        if len(found) == 1:
            return f"${found[0]}"
    return None


def _regex(c: ColumnProfile) -> str | None:
    """One expression for the few forms that a code has, without a letter or digit of any value; None for what is no code."""
    if c.forms is None or not all(FORM.fullmatch(form) for form in c.forms):
        return None
    forms: dict[tuple[str, ...], list[list[int]]] = {}
    late: dict[tuple[str, ...], bool] = {}
    for form, seen in c.forms.items():
        runs = [(mark, len(list(same))) for mark, same in groupby(form)]
        marks = tuple(mark for mark, _ in runs)
        forms.setdefault(marks, []).append([count for _, count in runs])
        late[marks] = late.get(marks, True) and seen.is_late
    if len(forms) > MOST_FORMS or any(late.values()):
        return _characters(c)
    alternatives = [
        "".join(_run(mark, [counts[n] for counts in lengths]) for n, mark in enumerate(marks))
        for marks, lengths in sorted(forms.items())
    ]
    return f"^{alternatives[0]}$" if len(alternatives) == 1 else f"^({'|'.join(alternatives)})$"


def _run(mark: str, lengths: Sequence[int]) -> str:
    """So many characters of a kind: exactly, if it was always as many; else from one on, and one more than seen."""
    of = CLASSES.get(mark, re.escape(mark))
    if min(lengths) < max(lengths):
        return f"{of}{{1,{max(lengths) + 1}}}"
    return of if lengths[0] == 1 else f"{of}{{{lengths[0]}}}"


def _characters(c: ColumnProfile) -> str:
    """Which characters, and how many: for codes of many forms."""
    used = set("".join(c.forms or {}))
    lengths = {len(form) for form in c.forms or {}}
    kinds = "".join(kind for mark, kind in (("9", "0-9"), ("a", "a-z"), ("A", "A-Z")) if mark in used)
    marks = "".join(re.escape(mark) for mark in sorted(used - set(CLASSES)))
    low, high = (min(lengths), max(lengths)) if len(lengths) == 1 else (1, 2 * max(lengths))
    return f"^[{kinds}{marks}]{{{low if low == high else f'{low},{high}'}}}$"


def _bounds(c: ColumnProfile, newest: date) -> Iterator[Proposal]:
    if c.kind in TEMPORAL:
        yield _dates(c, newest)
    elif c.is_number:
        low: dict[str, Any] = {"min_value": -_rounded_up(-2 * c.low)} if c.low < 0 else {"min_value": 0}
        if c.low > 0:
            low = {"min_value": 1} if c.kind != "decimal" else {"min_value": 0, "strict_min": True}
        high = {"max_value": _rounded_up(2 * c.high)} if c.high > 0 else {"max_value": 0}
        sign = "above 0" if c.low > 0 else "never below 0" if c.low == 0 else "below 0 at times"
        seen = f"{sign} in {_of(c)}; the bound leaves room of as much again as was seen"
        yield _proposal(f"{c.name}_range", "quarantine", VALUES, seen, column=c.name, **low, **high)


def _dates(c: ColumnProfile, newest: date) -> Proposal:
    """Bounds that do not grow old before somebody looks again: what they catch are default values and slips of the pen."""
    first, last = plain_date(c.low), plain_date(c.high)
    low = date(max(first.year - max(1, last.year - first.year), 1), 1, 1)
    high = date(min(max(last, newest).year + YEARS_AHEAD, 9999), 12, 31)
    seen = f"{first.year}{f' to {last.year}' if last.year > first.year else ''} in all {_of(c)}"
    return _proposal(
        f"{c.name}_range",
        "quarantine",
        VALUES,
        seen,
        column=c.name,
        min_value=low.isoformat(),
        max_value=high.isoformat(),
    )


def _pair(pair: Pair, profile: Profile) -> Iterator[Proposal]:
    """Which of two columns is never below the other. Of numbers and texts only what their own bounds do not say already."""
    if pair.both < ENOUGH_VALUES:
        return
    a, b = profile.columns[pair.a], profile.columns[pair.b]
    seen = f"in all {_number(pair.both)} rows of {_days(profile.days)} that have both"
    if pair.equal == pair.both:
        if a.kind != "string" or len(a.forms or {}) > 1 or a.is_key:
            yield _proposal(
                f"{a.name}_equals_{b.name}", "quarantine", EQUAL, f"equal {seen}", column_A=a.name, column_B=b.name
            )
        return
    if a.kind == "string":
        return
    for high, low, breaks in ((a, b, pair.below), (b, a, pair.above)):
        overlap = high.kind in TEMPORAL or high.low < low.high
        if not breaks and overlap:
            name = "before" if high.kind in TEMPORAL else "below"
            kwargs = {"column_A": high.name, "column_B": low.name, "or_equal": True}
            yield _proposal(f"{high.name}_not_{name}_{low.name}", "quarantine", ABOVE, f"so {seen}", **kwargs)


def _key(profile: Profile) -> Iterator[Proposal]:
    if profile.rows < ENOUGH_VALUES or not profile.key:
        return
    seen = f"no two of {_number(profile.rows)} rows of {_days(profile.days)} share it within a gate"
    if len(profile.key) == 1:
        yield _proposal("one_row_each", "quarantine", "expect_column_values_to_be_unique", seen, column=profile.key[0])
    else:
        yield _proposal(
            "one_row_each", "quarantine", "expect_compound_columns_to_be_unique", seen, column_list=profile.key
        )


def _count(profile: Profile) -> Iterator[Proposal]:
    """As many rows as usual; what is usual differs by weekday, and the bounds hold for the quietest and the busiest."""
    if len(profile.counts) < ENOUGH_SUBJECTS:
        return
    by_weekday: dict[int, list[int]] = {}
    for subject, rows in profile.counts.items():
        by_weekday.setdefault(subject.day.weekday(), []).append(rows)
    low, high = min(profile.counts.values()), max(profile.counts.values())
    bounds = {"min_value": low // 2} if low // 2 else {}
    seen = ", ".join(f"{WEEKDAYS[day]} {min(n):,}-{max(n):,}" for day, n in sorted(by_weekday.items()))
    yield _proposal(
        "rows_as_usual",
        "hold",
        COUNT,
        f"{len(profile.counts)} times on {profile.days} days: {seen}",
        **bounds,
        max_value=int(_rounded_up(2 * max(high, 1))),
    )


def _mean(c: ColumnProfile) -> Iterator[Proposal]:
    """A mean far from all that were seen: cents for whole units in a whole file, say."""
    bounds = _band(c.means)
    if bounds:
        seen = f"{len(c.means)} means on {c.days} days"
        yield _proposal(f"{c.name}_mean_as_usual", "hold", MEAN, seen, column=c.name, **bounds)


def _sum(profile: Profile, table: Table) -> Iterator[Proposal]:
    bounds = _band([float(total) for total in profile.sums])
    if bounds and table.money:
        seen = f"{len(profile.sums)} sums on {profile.days} days"
        yield _proposal(f"{table.money}_sum_as_usual", "warn", SUM, seen, column=table.money, **bounds)


def _band(seen: Sequence[float]) -> dict[str, Any]:
    """Room beyond the extremes: twice, or half of how far they lie apart on a scale of powers, whichever is more. Nothing where there is no usual size."""
    if len(seen) < ENOUGH_SUBJECTS or min(seen) <= 0 or max(seen) > FAR_APART * min(seen):
        return {}
    factor = Decimal(max(2.0, math.sqrt(max(seen) / min(seen))))
    return {
        "min_value": _rounded_down(Decimal(min(seen)) / factor),
        "max_value": _rounded_up(Decimal(max(seen)) * factor),
    }


def _rounded_up(value: int | Decimal) -> int | float:
    """The next of 1, 2, 5, 10, 20 ... that is not smaller: nobody's own figure."""
    exact = Decimal(value)
    if exact <= 0:
        return 0
    power = Decimal(1).scaleb(exact.adjusted())
    return _plain(next(step * power for step in (1, 2, 5, 10) if step * power >= exact))


def _rounded_down(value: Decimal) -> int | float:
    power = Decimal(1).scaleb(value.adjusted())
    return _plain(next(step * power for step in (5, 2, 1) if step * power <= value))


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _unpromised(proposal: Proposal, table: Table) -> Proposal | None:
    """The proposal without what the contract promises already; None when nothing is left."""
    rule = proposal.rule
    same = [r for r in table.all_rules if r.columns == rule.columns and "mostly" not in r.kwargs]
    if rule.expectation in BETWEEN and rule.expectation != LENGTHS:
        kwargs = dict(rule.kwargs)
        for old in (r for r in same if r.expectation == rule.expectation):
            kwargs = _beyond(kwargs, old.kwargs)
        if kwargs.get("min_value") is None and kwargs.get("max_value") is None:
            return None
        return Proposal(rule.model_copy(update={"kwargs": kwargs}), proposal.evidence)
    if rule.expectation in UNIQUE:
        is_promised = any(r.is_unique for r in table.all_rules)
    elif rule.expectation in SAYS_FORM:
        is_promised = any(r.expectation in SAYS_FORM for r in same)
    else:
        is_promised = any(r.expectation == rule.expectation for r in same)
    return None if is_promised else proposal


def _beyond(kwargs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """A range without the bounds that another one sets as closely."""
    left = dict(kwargs)
    for bound, strict, is_closer in (("min_value", "strict_min", _at_least), ("max_value", "strict_max", _at_most)):
        if old.get(bound) is not None and left.get(bound) is not None and is_closer(old[bound], left[bound]):
            left.pop(bound)
            left.pop(strict, None)
    return left


def _at_least(old: Any, new: Any) -> bool:
    return isinstance(old, str) == isinstance(new, str) and bool(old >= new)


def _at_most(old: Any, new: Any) -> bool:
    return _at_least(new, old)


class _Dumper(yaml.SafeDumper):
    """Writes what strict YAML reads back as it was: texts that look like something else stand in quotes."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) and text.lower() not in NORWAY | {"true", "false", "null"}
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain or text.startswith("$") else "'")


_Dumper.add_representer(str, _text_node)


def _flow(data: dict[str, Any]) -> str:
    return yaml.dump(
        data, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    ).strip()


def in_contract_form(made: Iterable[Proposal]) -> str:
    return "\n".join(["rules:", *(p.as_yaml() for p in made)])
