"""The words of `parse`: which are understood, and what is said of one that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.contracts.errors import Wrong
from jobs.contracts.parse import Way, way
from tests.contracts.house import build, change


@pytest.mark.parametrize(
    ("kind", "parse", "understood"),
    [
        ("string", None, Way(frozenset(), None, ())),
        ("string", "null()", Way(frozenset(), None, ("",))),
        ("int", "null(-1, -2)", Way(frozenset(), None, ("-1", "-2"))),
        ("date", None, Way(frozenset(), None, ())),
        ("date", "yyyyMMdd null(00000000,99991231)", Way(frozenset(), "yyyyMMdd", ("00000000", "99991231"))),
        ("date", "null(0) yyMMdd/1950 null(9)", Way(frozenset(), "yyMMdd/1950", ("0", "9"))),
        ("timestamp", "yyyy-MM-dd'T'HH:mm:ss.SSS", Way(frozenset(), "yyyy-MM-dd'T'HH:mm:ss.SSS", ())),
        ("timestamp", "epoch_ms null(0)", Way(frozenset(), "epoch_ms", ("0",))),
        ("boolean", None, Way(frozenset(), "true/false", ())),
        ("boolean", "Y/N", Way(frozenset(), "Y/N", ())),
        ("decimal(18, 2)", "thousands trailing_minus", Way(frozenset({"thousands", "trailing_minus"}), None, ())),
        ("decimal(18,2)", "implied(2)", Way(frozenset({"implied(2)"}), None, ())),
    ],
)
def test_words_that_fit(kind: str, parse: str | None, understood: Way) -> None:
    assert way(kind, parse) == understood


# type, parse -> words of the message
UNFIT = {
    ("string", "yyyyMMdd"): "yyyyMMdd is not a way to write string. Write null(...)",
    ("int", "implied(2)"): "implied(2) is not a way to write int",
    ("decimal(6,2)", "implied(3)"): "implied(3) gives more decimals than decimal(6,2) holds. Give the type 3 decimals",
    ("decimal(6,2)", "implied(0)"): "Write implied(2), trailing_minus, thousands or zoned",
    ("decimal(6,2)", "implied(1) implied(2)"): "says the same thing twice",
    ("decimal(6,2)", "thousand trailing_minus"): "thousand is not a way to write decimal(6,2)",
    ("decimal(6,2)", "null(0"): "null(0 is not a way to write decimal(6,2)",
    ("date", "epoch_ms"): "epoch_ms is not a way to write date",
    ("date", "yyMMdd"): "a two-digit year needs its first year, as in yyMMdd/1950",
    ("date", "yyyy-dd"): "yyyy-dd is not a way to write date",
    ("date", "yyyyMMddMM"): "each once at most",
    ("date", "DD.MM.YYYY"): "Write a pattern such as yyyyMMdd, dd.MM.yyyy or yyMMdd/1950",
    ("timestamp", "yyyyMMdd mm"): "yyyyMMdd mm is not a way to write timestamp",
    ("timestamp", "epoch"): "or epoch_ms or epoch_s",
    ("boolean", "Y"): "Write the texts for true and false, such as Y/N",
    ("boolean", "Y/"): "Y/ is not a way to write boolean",
    ("boolean", "1/1"): "1/1 is not a way to write boolean",
    ("boolean", "Y/N/X"): "Y/N/X is not a way to write boolean",
}


@pytest.mark.parametrize("unfit", UNFIT, ids=" ".join)
def test_words_that_do_not_fit_are_told_with_those_that_would(unfit: tuple[str, str]) -> None:
    with pytest.raises(Wrong) as error:
        way(*unfit)
    assert UNFIT[unfit] in str(error.value)


def test_the_check_names_file_line_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.commands import contracts
    from jobs.settings import settings

    root = build(tmp_path)
    line = change(root, "bronze/payments.yaml", "unit: CNY", "unit: CNY, parse: implied(2) thousand")
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(root))
    settings.cache_clear()
    try:
        told = CliRunner().invoke(contracts.app, ["check"])
    finally:
        settings.cache_clear()
    assert told.exit_code == 1
    assert told.stdout.replace("\n", "") == (
        f"{root}/bronze/payments.yaml:{line}: columns.amount.parse: thousand is not a way to write decimal(18,2). "
        "Write implied(2), trailing_minus, thousands or zoned or null(...) with the texts that mean nothing"
    )
