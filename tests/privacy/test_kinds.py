"""Normalisers and checks of identifiers, against published samples and python-stdnum."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import luhn as stdnum_luhn
from stdnum.cn import ric, uscc

from jobs.privacy import kinds

DAY = date(2026, 9, 15)


@pytest.mark.parametrize(
    ("written", "normal", "valid", "derived"),
    [
        (
            "11010519491231002X",
            "11010519491231002X",
            True,
            {"birth_date": "1949-12-31", "gender": "f", "area_code": "110105", "last4": "002X", "kind": "resident_id"},
        ),
        ("１１０１０５１９４９１２３１００２x", "11010519491231002X", True, {"gender": "f"}),
        ("991101900307123", "991101199003071238", True, {"birth_date": "1990-03-07", "gender": "m", "last4": "1238"}),
        ("440524188001010014", "440524188001010014", False, {}),  # right check character, born before 1900
        ("991101202609160011", "991101202609160011", False, {}),  # born after the business date
        ("991101199003071239", "991101199003071239", False, {}),  # wrong check character
        ("991101199002300010", "991101199002300010", False, {}),  # 30 February
        ("91350100M000100Y43", "91350100M000100Y43", True, {"kind": "uscc", "area_code": "350100"}),
        ("91350100M000100Y44", "91350100M000100Y44", False, {}),
        ("e12345678", "E12345678", True, {"kind": "other", "last4": "5678"}),
        ("H1234567(8)", "H1234567(8)", True, {"kind": "other"}),
        ("99110119900307123", "99110119900307123", False, {}),  # 17 digits: a card number with one missing
        ("000000", "000000", True, {"kind": "other"}),
    ],
)  # fmt: skip
def test_id_numbers(written: str, normal: str, valid: bool, derived: dict[str, str]) -> None:
    identity = kinds.id_number(written, DAY)
    assert (identity.normal, identity.valid) == (normal, valid)
    assert {k: identity.derived.get(k) for k in derived} == derived
    if not valid:
        assert identity.derived == {}


@given(st.text("0123456789", min_size=17, max_size=17))
def test_the_check_character_is_that_of_stdnum(digits: str) -> None:
    assert kinds.check_character(digits) == ric.calc_check_digit(f"{digits}0")


@given(st.text(kinds.CREDIT_CODE, min_size=17, max_size=17))
def test_the_credit_codes_check_character_is_that_of_stdnum(code: str) -> None:
    assert kinds.credit_check_character(code) == uscc.calc_check_digit(code)


@given(st.text("0123456789", min_size=1, max_size=19))
def test_luhn_is_that_of_stdnum(digits: str) -> None:
    assert kinds.luhn(digits) == stdnum_luhn.is_valid(digits)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("张三", " 张　三 "),
        ("阿依古丽·买买提", "阿依古丽•买买提"),
        ("阿依古丽・买买提", "阿依古丽．买买提"),
        ("阿依古丽·买买提", "阿依古丽 买买提"),
        ("李四", "李四先生"),
        ("李四", "李\u200b四(已故)"),
        ("Wang Wei", "ＷＡＮＧ ＷＥＩ"),
        ("王\ue81e", "王\u9fb4"),
    ],
)
def test_names_that_compare_equal(one: str, other: str) -> None:
    assert kinds.comparison_name(one) == kinds.comparison_name(other)
    assert kinds.name(one, DAY).normal == one.strip()


def test_names_that_differ_or_cannot_be_right() -> None:
    assert kinds.comparison_name("张伟") != kinds.comparison_name("章伟")
    assert kinds.comparison_name("先生") == "先生"  # a title alone is all there is
    assert [kinds.name(n, DAY).valid for n in ("张三", "O'Brien", "王\ue123", "12345", "\ufffd三", "···")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("written", "normal", "valid"),
    [
        ("139 0000 0001", "+8613900000001", True),
        ("0086-139-0000-0001", "+8613900000001", True),
        ("＋８６１３９０００００００１", "+8613900000001", True),
        ("8613900000001", "+8613900000001", True),
        ("010-66001234", "+861066001234", True),
        ("+86 10 66001234", "+861066001234", True),
        ("0591 87654321", "+8659187654321", True),
        ("+1 202 555 0100", "+12025550100", True),
        ("12900000001", "12900000001", False),
        ("1390000000", "1390000000", False),
        ("unknown", "unknown", False),
    ],
)
def test_phones(written: str, normal: str, valid: bool) -> None:
    identity = kinds.phone(written, DAY)
    assert (identity.normal, identity.valid) == (normal, valid)


def test_the_other_kinds() -> None:
    assert kinds.card("6222 0210-0000 0000 006", DAY).valid == stdnum_luhn.is_valid("6222021000000000006")
    assert kinds.card("4111111111111111", DAY) == kinds.Identity("4111111111111111", True, {"last4": "1111"})
    assert not kinds.card("4111111111111112", DAY).valid
    assert kinds.email(" Zhang.San@Example.COM ", DAY) == kinds.Identity("zhang.san@example.com", True)
    assert not kinds.email("zhang.san", DAY).valid
    assert kinds.device("A1B2-C3D4-E5F6", DAY) == kinds.Identity("a1b2-c3d4-e5f6", True)
    assert not kinds.device("00000000-0000-0000-0000-000000000000", DAY).valid
    assert kinds.address("广东省 深圳市福田区", DAY) == kinds.Identity(
        "广东省深圳市福田区", True, {"area_code": "440000"}
    )


@given(st.sampled_from(sorted(kinds.KINDS)), st.text(max_size=30))
@example("address", "00A´")  # without its space, the acute accent joins the letter
def test_no_text_breaks_a_normaliser_and_normal_forms_stay(kind: str, text: str) -> None:
    identity = kinds.KINDS[kind](text, DAY)
    if identity.valid:
        again = kinds.KINDS[kind](identity.normal, DAY)
        assert (again.normal, again.valid) == (identity.normal, True)
