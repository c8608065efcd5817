"""Identifiers in what people write and in addresses of pages: identity card numbers, phones, payment cards. Each becomes a token of its kind before a row is
written, the text around it stays (G7).

Found by form and check digit, in ASCII and full-width digits, with a space or hyphen between groups, of whichever width and as an address of a page writes them
(`+`, `%20`, `%2D`); a number may follow such an escape at once. What only looks like one stays: a card number without a right Luhn digit, an identity number
without its check character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from jobs.privacy.kinds import KINDS, Identity

PLAIN_DIGITS = {0xFF10 + n: str(n) for n in range(10)}
# What may stand between groups of digits.
BETWEEN = "(?:[ +\\-\u00a0\u3000\u2010-\u2015]|%20|%2[Dd])?"
# Eleven digits or more, somehow grouped: all that follows looks only into these texts.
MAY_HOLD = f"[0-9０-９](?:{BETWEEN}[0-9０-９]){{10,}}"
ESCAPED = "(?<=%[0-9A-Fa-f]{2})"
FORMS = re.compile(
    rf"""
    (?:(?<![0-9A-Za-z])|{ESCAPED})(?P<id_number>\d{{6}}{BETWEEN}\d{{8}}{BETWEEN}\d{{3}}[\dXx])(?![0-9A-Za-z])
    | (?:(?<![0-9])|{ESCAPED})(?P<card>[3-6]\d{{3}}(?:{BETWEEN}\d{{4}}){{3}}(?:{BETWEEN}\d{{1,3}})?)(?![0-9])
    | (?:(?<![0-9])|{ESCAPED})(?:(?:\+|%2B|00)?86{BETWEEN})?(?P<phone>1[3-9]\d{BETWEEN}\d{{4}}{BETWEEN}\d{{4}})(?![0-9])
    """,
    re.VERBOSE,
)
GROUPED = re.compile(BETWEEN.removesuffix("?"))

Found = tuple[str, Identity]  # kind, value
Tokens = Callable[[str, Collection[str]], dict[str, str]]


def without_identifiers(values: pa.Array, as_of: date, tokens: Tokens) -> tuple[pa.Array, dict[str, int]]:
    """The texts with `<kind:token>` in place of each identifier, and how many there were of each kind. `tokens(kind, normals)` issues them."""
    suspicious = pc.fill_null(pc.match_substring_regex(values, MAY_HOLD), False)
    if not pc.any(suspicious, min_count=0).as_py():
        return values, {}
    texts = values.to_pylist()
    places = [at for at, is_so in enumerate(suspicious.to_pylist()) if is_so]
    found = {at: list(_identifiers(texts[at], as_of)) for at in places}
    wanted: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for kind, identity in (each[2] for spans in found.values() for each in spans):
        wanted.setdefault(kind, set()).add(identity.normal)
        counts[kind] = counts.get(kind, 0) + 1
    issued = {kind: tokens(kind, normals) for kind, normals in wanted.items()}
    for at, spans in found.items():
        text = texts[at]
        for start, end, (kind, identity) in reversed(spans):
            text = f"{text[:start]}<{kind}:{issued[kind][identity.normal]}>{text[end:]}"
        texts[at] = text
    return pa.array(texts, pa.string()), counts


def masked(text: str, as_of: date) -> str:
    """A text that people are shown: `<kind>` in place of each identifier."""
    for start, end, (kind, _) in reversed(list(_identifiers(text, as_of))):
        text = f"{text[:start]}<{kind}>{text[end:]}"
    return text


def _identifiers(text: str, as_of: date) -> Iterable[tuple[int, int, Found]]:
    """Where each stands, and what it is, from left to right. A run of digits that is no identity number may still be a card's."""
    plain = text.translate(PLAIN_DIGITS)  # a character for a character: places stay
    at = 0
    while match := FORMS.search(plain, at):
        kind = str(match.lastgroup)
        at = match.end()
        identity = KINDS[kind](GROUPED.sub("", match[kind]), as_of)
        if not identity.valid and kind == "id_number" and match[kind].isdigit():
            kind, identity = "card", KINDS["card"](match[kind], as_of)
        if identity.valid:
            yield match.start(), match.end(), (kind, identity)
