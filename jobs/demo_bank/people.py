"""Invented people and firms. ID numbers use the reserved division prefix 99, so that none can belong to a person."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from random import Random

SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华建国玉梅红志云海燕春秋雪飞鹏浩宇轩梓涵子墨欣怡雨思佳"
    "琪俊豪嘉诚宁安乐康健永福祥瑞宝成龙凤"
)
# Second byte 0x5C or 0x7C in GBK: readers that split before decoding break on them.
AWKWARD = "誠錦運東億"
UYGHUR = ("阿依古丽", "买买提", "古丽娜尔", "艾山", "吐尔逊", "热依汗", "帕提古丽", "阿卜杜拉", "努尔古丽", "依明")
FIRM_PLACES = ("青山", "东湖", "长河", "新区", "北岸", "南岭", "金桥", "和平", "丰收", "明德")
FIRM_TRADES = ("贸易", "建材", "食品", "物流", "农业科技", "机电", "纺织", "餐饮管理", "信息技术", "园林")
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
FULL_WIDTH = {ord(c): chr(ord(c) + 0xFEE0) for c in "0123456789X"}


def id_check(first17: str) -> str:
    """Check character of an 18-digit ID number (ISO 7064 mod 11-2)."""
    return "10X98765432"[sum(w * int(d) for w, d in zip(ID_WEIGHTS, first17, strict=True)) % 11]


def id_is_valid(number: str) -> bool:
    """18 digits with a right check character; full-width digits count as digits."""
    plain = unicodedata.normalize("NFKC", number).strip().upper()
    return len(plain) == 18 and plain[:17].isdigit() and id_check(plain[:17]) == plain[17]


def id_number(rng: Random, province: str, number: int) -> str:
    """Different for each `number`, whatever the birth date drawn."""
    born = date(1945, 1, 1) + timedelta(days=rng.randrange(365 * 62))
    area = f"99{province}{1 + number // 500 % 99:02d}"
    first17 = f"{area}{born:%Y%m%d}{number % 500 * 2 + rng.randrange(2):03d}"
    return first17 + id_check(first17)


def uscc(number: int) -> str:
    """Unified social credit code of an invented firm."""
    first17 = f"91990000MA{number:07d}"
    total = sum(USCC_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(first17))
    return first17 + USCC_ALPHABET[(31 - total % 31) % 31]


def person_name(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.01:
        return f"{rng.choice(UYGHUR)}·{rng.choice(UYGHUR)}"
    surname = rng.choice(SURNAMES)
    if draw < 0.03:
        return surname + rng.choice(AWKWARD) + rng.choice(GIVEN)
    return surname + rng.choice(GIVEN) + (rng.choice(GIVEN) if draw < 0.85 else "")


def firm_name(rng: Random, number: int) -> str:
    return f"{rng.choice(FIRM_PLACES)}{number}号{rng.choice(FIRM_TRADES)}有限公司"


def phone(number: int) -> str:
    return f"1{30 + number % 70}0{number % 10_000_000:07d}"


def misspelt(rng: Random, name: str) -> str:
    """The same name with one character wrong."""
    at = rng.randrange(1, len(name))
    other = rng.choice([c for c in GIVEN if c != name[at]])
    return name[:at] + other + name[at + 1 :]


def comparison_name(name: str) -> str:
    """Two ways of writing a name agree when this is equal: full width, spaces and kinds of middle dot do not matter."""
    plain = unicodedata.normalize("NFKC", name)
    for dot in "•・．":
        plain = plain.replace(dot, "·")
    return plain.replace(" ", "").upper()
