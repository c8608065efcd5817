"""Strict YAML: what people fall into is refused with its line, not guessed.

Refused: duplicate keys (the last would win silently), unquoted on/off/yes/no (booleans in YAML 1.1), unquoted 05:30
(a number in base sixty), tabs and anything that is not plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs.contracts.errors import ContractError, Mistake

Place = tuple[str | int, ...]
SEXAGESIMAL = re.compile(r"^[-+]?\d+(:[0-5]?\d)+(\.\d*)?$")
NORWAY = {"on", "off", "yes", "no", "y", "n"}
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class YamlFile:
    """Plain data with the line on which each value stands. What was taken from another file (`base`) has its line there."""

    path: Path
    data: Any
    lines: dict[Place, int]
    base: YamlFile | None = None

    def line(self, place: Place) -> int:
        """Line of the value at `place`, or of the nearest value around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def where(self, place: Place) -> tuple[Path, int]:
        """File and line of the value at `place`."""
        if self.base is not None and place not in self.lines and place in self.base.lines:
            return self.base.path, self.base.lines[place]
        return self.path, self.line(place)


def read_yaml(path: Path, loose: list[Mistake] | None = None) -> YamlFile:
    """Raises ContractError naming the lines of what is not strict YAML. Where a list is given for what is only `loose`, a value without the quotes that it needs is
    told in it and read as the text that it shows."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContractError([Mistake(path, 1, f"not UTF-8: {error}", "Save the file as UTF-8")]) from error
    return parse_yaml(text, path, loose)


def parse_yaml(text: str, path: Path, loose: list[Mistake] | None = None) -> YamlFile:
    """The same of a text; `path` is what mistakes call it."""
    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = f"not readable as YAML: {error.problem}"
        raise ContractError([Mistake(path, line, problem, "Correct the indentation or quoting there")]) from error
    except yaml.reader.ReaderError as error:
        # Told by the character (of the C reader: by the byte) at which it stands, and by no line.
        line, char = _unprintable(text)
        raise ContractError(
            [Mistake(path, line, f"the character {char} cannot stand in YAML", "Take it out; it may be invisible")]
        ) from error
    lines: dict[Place, int] = {}
    twice: list[Mistake] = []
    unquoted: list[Mistake] = []
    data = _plain(node, (), path, lines, twice, unquoted) if node else {}
    if twice or (unquoted and loose is None):
        raise ContractError(sorted([*twice, *unquoted], key=lambda mistake: mistake.line))
    if loose is not None:
        loose += unquoted
    return YamlFile(path, data, lines)


def _unprintable(text: str) -> tuple[int, str]:
    """Line and name of the first character that YAML does not allow."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return 1, "that is invisible"
    return text.count("\n", 0, found.start()) + 1, f"U+{ord(found[0]):04X}"


def _plain(
    node: yaml.Node,
    place: Place,
    path: Path,
    lines: dict[Place, int],
    twice: list[Mistake],
    unquoted: list[Mistake],
) -> Any:
    line = node.start_mark.line + 1
    lines[place] = line
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                twice.append(
                    Mistake(path, key_node.start_mark.line + 1, f"`{key}` is given twice", "Keep one of the two")
                )
            mapping[key] = _plain(value_node, (*place, key), path, lines, twice, unquoted)
            lines[(*place, key)] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*place, i), path, lines, twice, unquoted) for i, child in enumerate(node.value)]
    return _scalar(node, line, path, unquoted)


def _scalar(node: yaml.Node, line: int, path: Path, unquoted: list[Mistake]) -> Any:
    text = str(node.value)
    if getattr(node, "style", None) in ("'", '"', "|", ">"):
        return text
    if text.lower() in NORWAY:
        unquoted.append(
            Mistake(path, line, f"`{text}` would be read as true or false", f'Write true/false or "{text}"')
        )
        return text
    if SEXAGESIMAL.match(text):
        unquoted.append(Mistake(path, line, f"`{text}` would be read as a number in base sixty", f'Write "{text}"'))
        return text
    tag = node.tag.rsplit(":", 1)[-1]
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        return int(text.replace("_", ""), 10) if not text.startswith("0") or text == "0" else text
    return text if tag != "float" else _number(text)


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
