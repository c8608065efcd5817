"""Kinds of identifiers: how each is normalised, when it is valid, and what may be kept of it beside its token.

The comparison form is what the vault knows a value by: two spellings of one phone number get one token. Rules are those
of the domain's entity resolution (E2 names, E3 identity card numbers, E4 credit codes of firms, E5 phones).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

ZERO_WIDTH = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF, 0x00AD])
DOTS = dict.fromkeys(map(ord, "·•・．‧∙⋅･"), "·")
# Code points that GB18030-2000 put into the private-use area and later editions gave a character: one table for the
# whole platform.
PRIVATE_USE = {
    0xE81E: "\u9fb4", 0xE826: "\u9fb5", 0xE82B: "\u9fb6", 0xE82C: "\u9fb7",
    0xE832: "\u9fb8", 0xE843: "\u9fb9", 0xE854: "\u9fba", 0xE864: "\u9fbb",
}  # fmt: skip
TITLES = re.compile(r"(先生|女士)$|^已故|已故$|\((已故|代)\)$")
# Name and two-digit code (GB/T 2260).
PROVINCES = {
    word[:-2]: word[-2:]
    for word in [
        "北京11",
        "天津12",
        "河北13",
        "山西14",
        "内蒙古15",
        "辽宁21",
        "吉林22",
        "黑龙江23",
        "上海31",
        "江苏32",
        "浙江33",
        "安徽34",
        "福建35",
        "江西36",
        "山东37",
        "河南41",
        "湖北42",
        "湖南43",
        "广东44",
        "广西45",
        "海南46",
        "重庆50",
        "四川51",
        "贵州52",
        "云南53",
        "西藏54",
        "陕西61",
        "甘肃62",
        "青海63",
        "宁夏64",
        "新疆65",
        "台湾71",
        "香港81",
        "澳门82",
    ]
}
PROVINCE_CODES = frozenset(PROVINCES.values()) | {"83"}
DEMO_PREFIX = "99"  # reserved: 99, province code, two digits; never given to a person
RESIDENT = re.compile(r"^\d{17}[\dX]$")
OLD_RESIDENT = re.compile(r"^\d{15}$")
OTHER_ID = re.compile(r"^(?=.*[A-Z\d]{5})[A-Z\d()]{6,15}$")
MILITARY = re.compile(r"^.字第\d{4,10}号?$")
CREDIT_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"
MOBILE = re.compile(r"^1[3-9]\d{9}$")
LANDLINE = re.compile(r"^0(10|2\d|[3-9]\d{2})[2-9]\d{6,7}$")
FOREIGN = re.compile(r"^\+[1-9]\d{7,14}$")
EMAIL = re.compile(r"^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+$")


@dataclass(frozen=True)
class Identity:
    """What an identifying value is: its comparison form, whether it can be right, and the derivations its kind has
    (text or None).

    An invalid value keeps its token (a person may have to look at it) but gives no derivations.
    """

    normal: str
    valid: bool
    derived: dict[str, str | None] = field(default_factory=dict)


def text_normal(value: str) -> str:
    """NFKC, private-use characters mapped, zero-width marks removed, spaces trimmed and collapsed."""
    mapped = value.translate(PRIVATE_USE).translate(ZERO_WIDTH)
    return " ".join(unicodedata.normalize("NFKC", mapped).split())


def without(removed: str, text: str) -> str:
    """Normal text less what a pattern matches. A mark left alone by what was removed joins its letter, so that
    the result is a normal form again."""
    return unicodedata.normalize("NFKC", re.sub(removed, "", text_normal(text)))


def comparison_name(value: str) -> str:
    """Names are compared without spaces, dots, titles and notes, in upper case: 阿依古丽·买买提 is one name,
    written with any dot or none.
    """
    # Dots first: NFKC would turn a full-width stop into a plain one.
    text = text_normal(value.translate(DOTS)).translate(DOTS).upper()
    stripped = TITLES.sub("", text)
    return re.sub(r"[ ·]", "", stripped or text)


def id_number(value: str, as_of: date) -> Identity:
    """Identity card (15 digits become 18), credit code of a firm, or another document. `as_of` bounds the date of
    birth.
    """
    text = without(r"[\s\-]", text_normal(value).upper())
    if OLD_RESIDENT.match(text):
        longer = f"{text[:6]}19{text[6:]}"
        text = longer + check_character(longer)
    if RESIDENT.match(text):
        born = _birth_date(text)
        if _known_area(text) and text[17] == check_character(text) and born and date(1900, 1, 1) <= born <= as_of:
            gender = "m" if int(text[16]) % 2 else "f"
            return Identity(
                text,
                True,
                {
                    "birth_date": born.isoformat(),
                    "gender": gender,
                    "area_code": text[:6],
                    "last4": text[-4:],
                    "kind": "resident_id",
                },
            )
    if len(text) == 18 and set(text) <= set(CREDIT_CODE) and text[17] == credit_check_character(text):
        return Identity(text, True, {"area_code": text[2:8], "last4": text[-4:], "kind": "uscc"})
    # Passports and permits carry no checksum; a long run of digits alone is a mistyped card number, not a passport.
    if (OTHER_ID.match(text) and not (text.isdigit() and len(text) > 10)) or MILITARY.match(text):
        return Identity(text, True, {"last4": text[-4:], "kind": "other"})
    return Identity(text, False)


def check_character(digits: str) -> str:
    """ISO 7064 MOD 11-2 over the first 17 digits of an identity card number (GB 11643)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(w * int(d) for w, d in zip(weights, digits, strict=False)) % 11]


def credit_check_character(code: str) -> str:
    """GB 32100: weights 3^(i-1) mod 31 over the first 17 characters."""
    total = sum(CREDIT_CODE.index(character) * pow(3, i, 31) for i, character in enumerate(code[:17]))
    return CREDIT_CODE[(31 - total % 31) % 31]


def name(value: str, as_of: date) -> Identity:
    """As written but for surrounding spaces; valid when it has letters only (any script) and no unmapped private-use
    character.
    """
    written = value.strip()
    compared = comparison_name(written)
    valid = 0 < len(compared) <= 100 and all(unicodedata.category(c)[0] in "LM" or c in "'-().,&/" for c in compared)
    return Identity(written, valid, {"normal": compared or None})


def phone(value: str, as_of: date) -> Identity:
    """E.164. Chinese mobile and landline numbers without a country code get +86."""
    text = without(r"[\s\-()]", value)
    if text.startswith("00"):
        text = "+" + text[2:]
    national = text.removeprefix("+86") if text.startswith("+86") else text
    if len(national) == 13 and national.startswith("86"):
        national = national[2:]
    if MOBILE.match(national):
        return Identity(f"+86{national}", True, {"last4": national[-4:]})
    if LANDLINE.match(national) or (text.startswith("+86") and LANDLINE.match(f"0{national}")):
        return Identity(f"+86{national.lstrip('0')}", True, {"last4": national[-4:]})
    if FOREIGN.match(text) and not text.startswith("+86"):
        return Identity(text, True, {"last4": text[-4:]})
    return Identity(text, False)


def email(value: str, as_of: date) -> Identity:
    text = without(" ", text_normal(value).lower())
    return Identity(text, bool(EMAIL.match(text)))


def card(value: str, as_of: date) -> Identity:
    """A payment card number: 12 to 19 digits with a right Luhn digit."""
    text = without(r"[\s\-]", value)
    valid = text.isascii() and text.isdigit() and 12 <= len(text) <= 19 and luhn(text)
    return Identity(text, valid, {"last4": text[-4:]} if valid else {})


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(int(d) for d in digits[-1::-2]) + sum(doubled)) % 10 == 0


def device(value: str, as_of: date) -> Identity:
    """A device id: at least 8 letters or digits that are not all the same (an id switched off is all zeros)."""
    text = without(" ", text_normal(value).lower())
    significant = re.sub(r"[^0-9a-z]", "", text)
    return Identity(text, len(significant) >= 8 and len(set(significant)) > 1)


def address(value: str, as_of: date) -> Identity:
    """A postal address; its area code is that of the province it begins with (provincial level, six digits)."""
    text = without(" ", value)
    province = next((code for start, code in PROVINCES.items() if text.startswith(start)), None)
    return Identity(text, len(text) >= 4, {"area_code": f"{province}0000" if province else None})


KINDS: dict[str, Callable[[str, date], Identity]] = {
    "id_number": id_number,
    "name": name,
    "phone": phone,
    "email": email,
    "card": card,
    "device": device,
    "address": address,
}


def _known_area(text: str) -> bool:
    """Province level: the full division history (codes are abolished) is reference data that not every bank keeps."""
    province = text[2:4] if text.startswith(DEMO_PREFIX) else text[:2]
    return province in PROVINCE_CODES


def _birth_date(text: str) -> date | None:
    try:
        return date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return None
