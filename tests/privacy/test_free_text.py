"""Identifiers where nobody should have written them. Numbers are of the reserved range, or known test numbers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import pyarrow as pa
import pytest

from jobs.privacy.free_text import without_identifiers

DAY = date(2026, 9, 15)
ID, PHONE, CARD = "99110119900307123X", "13900000001", "6222020000000000003"


def tokens(kind: str, normals: Collection[str]) -> dict[str, str]:
    return {normal: f"token of {normal}" for normal in normals}


def cleaned(*texts: str | None) -> list[str | None]:
    return without_identifiers(pa.array(texts, pa.string()), DAY, tokens)[0].to_pylist()


def luhn_number() -> str:
    from jobs.privacy.kinds import luhn

    return next(n for n in (f"622202000000000{last:04d}" for last in range(10)) if luhn(n))


FOUND = {
    f"/pay?id={ID}&tab=1": f"/pay?id=<id_number:token of {ID}>&tab=1",
    f"/pay?id={ID.lower()}": f"/pay?id=<id_number:token of {ID}>",
    "身份证９９１１０１１９９００３０７１２３X的客户": f"身份证<id_number:token of {ID}>的客户",
    f"call {PHONE}, or 139 0000 0001": "call <phone:token of +8613900000001>, or <phone:token of +8613900000001>",
    f"?tel=%2B86{PHONE}": "?tel=<phone:token of +8613900000001>",
    f"/go?to=%2Fpay%3Fid%3D{ID}%26tab%3D1": f"/go?to=%2Fpay%3Fid%3D<id_number:token of {ID}>%26tab%3D1",
    f"?q=%20{PHONE}": "?q=%20<phone:token of +8613900000001>",
    "?tel=139%2D0000%2D0001&or=139+0000+0001": "?tel=<phone:token of +8613900000001>&or=<phone:token of +8613900000001>",
    "电话139\u00a00000\u20130001": "电话<phone:token of +8613900000001>",
    f"{ID[:6]} {ID[6:14]} {ID[14:]}": f"<id_number:token of {ID}>",
    f"card {luhn_number()}.": f"card <card:token of {luhn_number()}>.",
    f"{PHONE} {ID}": f"<phone:token of +8613900000001> <id_number:token of {ID}>",
}
LEFT = [
    None,
    "",
    "转账汇款",
    "order 2026091500000001",
    "991101199003071230",  # no right check character, and no card
    "12345678901",  # no phone
    f"1{PHONE}",
    f"{PHONE}9",
    f"A{ID}",
    "6222020000000000001",  # no right Luhn digit
]


@pytest.mark.parametrize("text", FOUND)
def test_an_identifier_becomes_a_token_and_the_text_around_it_stays(text: str) -> None:
    assert cleaned(text) == [FOUND[text]]


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_identifier_stays(text: str | None) -> None:
    assert cleaned(text) == [text]


def test_hits_are_counted_by_kind() -> None:
    texts = pa.array([f"{PHONE} {PHONE}", None, f"/?id={ID}", "nothing"], pa.string())
    clean, found = without_identifiers(texts, DAY, tokens)
    assert found == {"phone": 2, "id_number": 1}
    assert len(clean) == 4 and clean[1].as_py() is None
