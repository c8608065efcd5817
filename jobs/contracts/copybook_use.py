"""What sources and bronze contracts ask of a copybook that it cannot give: fields that it does not have, codes that a picture never shows, types that its values are not of.

A number arrives with all digits of its picture and a point where it implies one; a group or a table arrives as JSON (jobs/arrival/formats/copybook.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jobs.contracts.column import Column
from jobs.contracts.copybook import Copybook, Item, Path, Picture
from jobs.contracts.errors import Mistake
from jobs.contracts.fit import allowed, shown
from jobs.contracts.formats import CopybookFile
from jobs.contracts.model import Table
from jobs.contracts.parse import DECIMAL, EPOCH, FIELDS, places
from jobs.contracts.profile import Reference
from jobs.contracts.yaml_file import Place, YamlFile

ISO_DAY, ISO_MINUTE = "yyyy-MM-dd", "yyyy-MM-dd HH:mm"
SHORTEST = {"date": ISO_DAY, "timestamp": ISO_MINUTE}


def mistakes(
    file: YamlFile, fmt: CopybookFile, bronze_file: YamlFile, bronze: Table, references: Mapping[str, Reference]
) -> Iterator[Mistake]:
    book = fmt.described
    if book is None:
        return  # said where it could not be read
    for name, column in bronze.columns.items():
        place: Place = ("columns", name)
        try:
            path = book.find(column.source or name)
        except ValueError as error:
            found, remedy = f"{name}: {error}", "Write `from` as the copybook names it"
            yield Mistake(bronze_file.path, bronze_file.line(place), found, remedy)
            continue
        for found, remedy in _unreadable(book, path, column, references):
            yield Mistake(bronze_file.path, bronze_file.line(place), f"{name}: {found}", remedy)
    for place, address in _addresses(fmt):
        try:
            book.find(address)
        except ValueError as error:
            yield Mistake(file.path, file.line(("format", *place)), str(error), "Name a field of the copybook")
    for place, address, value in _codes(fmt):
        picture = _picture(book, address)
        if picture is not None and value and never(picture, value):  # blank is a code too
            found = f"{address} is never {value!r}: it shows {shape(picture)}"
            yield Mistake(file.path, file.line(("format", *place)), found, "Write the code as the field shows it")


def never(picture: Picture, text: str) -> bool:
    """Whether a field of the picture, decoded, is never this text."""
    if picture.kind in ("text", "wide"):
        width = picture.length // 2 if picture.kind == "wide" else picture.length
        return len(text) > width or text != text.strip(" \0\u3000")
    whole, point, decimals = text.removeprefix("-").partition(".")
    if not (whole + decimals).isdigit():
        return True
    if len(decimals) != max(picture.scale, 0) or bool(point) != (picture.scale > 0):
        return True
    digits = max(picture.digits - picture.scale, 1)
    # The bytes of a binary number may hold more than its picture says.
    return len(whole) < digits if picture.kind == "binary" else len(whole) != digits


def shape(picture: Picture) -> str:
    if picture.kind in ("text", "wide"):
        width = picture.length // 2 if picture.kind == "wide" else picture.length
        return f"at most {width} character{'s' if width > 1 else ''}, without blanks around them"
    decimals = f", {picture.scale} of them behind a point" if picture.scale > 0 else ""
    return f"{picture.digits - min(picture.scale, 0)} digits{decimals}, zeros in front too"


def _unreadable(
    book: Copybook, path: Path, column: Column, references: Mapping[str, Reference]
) -> Iterator[tuple[str, str]]:
    """Why no value of the field could be read as the column's type, and the remedy."""
    item = book.layout().places[path].item
    if item.picture is None or _is_table(item, path):
        if column.type != "string":
            what = "a table" if item.times else "a group"
            yield f"{item.name} is {what}, which arrives as JSON, and not as {column.type}", "Write string"
        return
    picture, way = item.picture, column.way
    it = f"{item.name} shows {shape(picture)}"
    decimal = DECIMAL.match(column.type)
    if column.type in ("int", "bigint") and picture.scale > 0:
        yield f"{it}, and no value of it is {column.type}", f"Write decimal({picture.digits},{picture.scale})"
    elif decimal and picture.scale > int(decimal[2]):
        yield f"{it}, and {column.type} has room for {decimal[2]}", f"Write decimal({decimal[1]},{picture.scale})"
    elif decimal and way.implied and picture.scale > 0:
        yield f"{it}: the copybook implies the point already", f"Take implied({way.implied}) out"
    elif column.type in SHORTEST and way.pattern not in EPOCH:
        pattern = way.pattern or SHORTEST[column.type]
        parts, _ = places(pattern)
        example = "".join("1" * FIELDS[part] if part in FIELDS else part for part in parts)
        if never(picture, example):
            yield f"{it}, which is never written {pattern}", "Write `parse:` as the field shows it, such as yyyyMMdd"
    elif column.type == "boolean" and all(never(picture, text) for text in (way.pattern or "").split("/")):
        yield f"{it}, which is never {(way.pattern or '').replace('/', ' nor ')}", "Write them as the field shows them"
    elif column.type == "string" and (values := allowed(column, references)) and all(never(picture, v) for v in values):
        yield f"{it}, and none of its values is so: {shown(values)}", "Write them as the field shows them"


def _is_table(item: Item, path: Path) -> bool:
    return item.times is not None and path[-1][1] is None


def _picture(book: Copybook, address: str) -> Picture | None:
    """None for what is no single field, or not there."""
    try:
        path = book.find(address)
    except ValueError:
        return None
    item = book.layout().places[path].item
    return None if _is_table(item, path) else item.picture


def _codes(fmt: CopybookFile) -> Iterator[tuple[Place, str, str]]:
    """Where a code of a field stands, the field, the code."""
    if fmt.segment:
        for value in fmt.segment.groups:
            yield ("segment", "groups", value), fmt.segment.field, value
    for n, choice in enumerate(fmt.choices):
        for value in choice.groups:
            yield ("choices", n, "groups", value), choice.field, value


def _addresses(fmt: CopybookFile) -> Iterator[tuple[Place, str]]:
    """What the format itself names of its copybook."""
    if fmt.segment:
        yield ("segment", "field"), fmt.segment.field
        for value, group in fmt.segment.groups.items():
            yield ("segment", "groups", value), group
        for n, group in enumerate(fmt.segment.carry):
            yield ("segment", "carry", n), group
    for n, choice in enumerate(fmt.choices):
        yield ("choices", n, "field"), choice.field
        for value, group in choice.groups.items():
            yield ("choices", n, "groups", value), group
    for part, edge in (("header", fmt.header), ("trailer", fmt.trailer)):
        for key, address in edge.fields.items() if edge else ():
            yield (part, "fields", key), address
