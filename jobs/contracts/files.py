"""What the files of a source are called, and what their names say."""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

from pydantic import Field, field_validator

from jobs.contracts.base import Strict

# Placeholder, or bracket, of the pattern of a name -> what it is in a regular expression.
NAME_PARTS = {
    "{entity}": r"(?P<entity>[A-Za-z0-9]+)", "{date}": r"(?P<date>\d{8})", "{seq}": r"(?P<seq>\d{1,6})", "{version}": r"(?P<version>\d{1,6})",
    "{any}": "[^/]*?", "[": "(?:", "]": ")?",
}  # fmt: skip


# What stands for a placeholder in a name that is only an example.
SAMPLE = {"{entity}": "b01", "{date}": "20260915", "{seq}": "1", "{version}": "1", "{any}": "x"}


class Files(Strict):
    """Names of the files. Placeholders: {entity}, {date} (YYYYMMDD, the business date), {seq} (batch number), {version} (of the same batch number the highest counts,
    whatever came last), {any} (what varies and says nothing: a time, a GUID). A part in square brackets may be missing, and its number is 1 then:
    `PAY_{entity}_{date}[_v{version}].csv`."""

    pattern: str
    signal: Literal["ok", "none"] = Field("ok", description="`ok`: read only what a `.ok` file announces")
    encrypted: Literal["pgp"] | None = Field(None, description="the file is an OpenPGP message for the bank's key")

    def regex(self) -> re.Pattern[str]:
        """File name -> entity, date, seq, version (all but the first are digits)."""
        parts = re.split(r"(\{\w+\}|[][])", self.pattern)
        return re.compile("".join(NAME_PARTS.get(p, re.escape(p)) for p in parts))

    def name(self, *, entity: str, business_date: date, seq: int) -> str:
        return self.pattern.format(entity=entity, date=f"{business_date:%Y%m%d}", seq=seq)

    def samples(self) -> list[str]:
        """Names such as the files have, with and without what stands in brackets."""
        full = re.sub(r"[][]", "", self.pattern)
        bare = re.sub(r"\[[^][]*\]", "", self.pattern)
        return list(dict.fromkeys(re.sub(r"\{\w+\}", lambda m: SAMPLE[m[0]], name) for name in (full, bare)))

    @field_validator("pattern")
    @classmethod
    def _placeholders(cls, value: str) -> str:
        found = re.findall(r"\{\w+\}", value)
        if "{date}" not in found or not {*found} <= NAME_PARTS.keys() or len({*found}) < len(found):
            raise ValueError(
                f"pattern {value} needs {{date}} and may have {{entity}}, {{seq}}, {{version}} and {{any}}, each of them once"
            )
        whole, optional = re.sub(r"\[[^][]*\]", "", value), re.findall(r"\[([^][]*)\]", value)
        if re.search(r"[][]", whole) or any(
            re.findall(r"\{\w+\}", p) not in (["{seq}"], ["{version}"]) for p in optional
        ):
            raise ValueError(
                f"pattern {value}: square brackets stand round a part with {{seq}} or {{version}}, which may be missing"
            )
        neighbours = r"(?=\{(\w+)\}([^{]*)\{(\w+)\})"
        for one, between, other in re.findall(neighbours, re.sub(r"[][]", "", value)) + re.findall(neighbours, whole):
            mixed = "[^A-Za-z0-9]" if {"entity", "any"} & {one, other} else r"\D"
            if not re.search(mixed, between) and ("date" not in (one, other) or "any" in (one, other)):
                raise ValueError(
                    f"pattern {value}: nothing parts {{{one}}} from {{{other}}}. Write for instance {{{one}}}_{{{other}}}"
                )
        return value
