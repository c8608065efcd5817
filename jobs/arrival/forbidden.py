"""Columns that must never be stored (classification C3: what proves who somebody is; rule CL-3)."""

from __future__ import annotations

import re

from jobs.arrival.errors import Refused
from jobs.contracts.model import Table

# Names by which such columns are known to arrive, though no contract asks for them. Whole names, without case and
# separators. JR/T 0171-2020 counts the expiry of a card among them.
NAMES = frozenset(
    [
        "cvn",
        "cvn2",
        "cvv",
        "cvv2",
        "cvc",
        "cvc2",
        "password",
        "passwd",
        "pwd",
        "loginpassword",
        "paypassword",
        "tradepassword",
        "pin",
        "pinblock",
        "cardpin",
        "track1",
        "track2",
        "track3",
        "trackdata",
        "track1data",
        "track2data",
        "magnetictrack",
        "fingerprinttemplate",
        "facetemplate",
        "iristemplate",
        "cardexpiry",
        "cardexpirydate",
        "cardexpirationdate",
        "cardvalidthru",
        "密码",
        "卡密码",
        "银行卡密码",
        "账户密码",
        "登录密码",
        "登陆密码",
        "支付密码",
        "交易密码",
        "取款密码",
        "查询密码",
        "手势密码",
        "密碼",
        "登入密碼",
        "交易密碼",
        "磁道",
        "磁道信息",
        "磁道数据",
        "一磁道",
        "二磁道",
        "三磁道",
        "一磁道信息",
        "二磁道信息",
        "三磁道信息",
        "一磁道数据",
        "二磁道数据",
        "三磁道数据",
        "卡片验证码",
        "卡验证码",
        "安全码",
        "cvn码",
        "cvn2码",
        "cvv码",
        "cvv2码",
        "卡有效期",
        "卡片有效期",
        "指纹模板",
        "人脸模板",
        "虹膜模板",
    ]
)
# Each name holds one of these, with or without a separator between its words.
STEMS = (
    b"cvn",
    b"cvv",
    b"cvc",
    b"pass",
    b"pwd",
    b'pin"',
    b"pinblock",
    b"pin_block",
    b"pin-block",
    b"track",
    b"template",
    b"cardexp",
    b"card_exp",
    b"card-exp",
    b"cardvalid",
    b"card_valid",
    b"card-valid",
    *(
        stem.encode()
        for stem in (
            "密码",
            "密碼",
            "磁道",
            "安全码",
            "卡验证码",
            "片验证码",
            "卡有效期",
            "片有效期",
            "纹模板",
            "脸模板",
            "膜模板",
        )
    ),
)
KEY = re.compile(r'"([\w -]{1,40})"\s*:')
SEPARATORS = re.compile(r"[\W_]")


C3_COLUMN = "c3_column"  # the cause


class ForbiddenColumn(Refused):
    """Nothing of the file may be kept, not even sealed."""


def forbidden(column: str, where: str) -> ForbiddenColumn:
    return ForbiddenColumn(
        C3_COLUMN,
        f"The column {column} in {where} is of class C3 and must never be stored. Expected a file without it; "
        "nothing was kept. "
        "Ask the sender to take the column out and send the file again, and treat this as an incident.",
    )


def check_names(names: list[str], where: str) -> None:
    """Raises ForbiddenColumn for the first name that is known to hold a secret."""
    for name in names:
        if SEPARATORS.sub("", name.lower()) in NAMES:
            raise forbidden(name, where)


def check_text(text: str, where: str) -> None:
    """Raises ForbiddenColumn when a line that is no readable JSON has such a name as a key."""
    check_names(KEY.findall(text), where)


def may_hide_a_secret(data: bytes) -> bool:
    """Could such a name be a key in these lines? Quick, and wrong only towards yes: then every key is looked at."""
    lower = data.lower()
    return b"\\u" in lower or any(stem in lower for stem in STEMS)


def check_contract(table: Table) -> None:
    """Raises ForbiddenColumn when the contract itself declares a C3 column."""
    for name, column in table.columns.items():
        if column.classification.startswith("C3"):
            raise forbidden(name, f"the contract of {table.table}")
