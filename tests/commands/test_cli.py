"""Each way in which a command ends has its exit status, and none shows a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from jobs import cli
from jobs.settings import settings
from tests.commands.conftest import Said
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank
from tests.postgres import free_port

Command = Callable[..., Said]


def test_a_good_answer_is_0(running: TinyBank, ledgerlake: Command) -> None:
    assert ledgerlake("releases").status == 0


def test_an_answer_that_is_not_good_is_1(running: TinyBank, ledgerlake: Command) -> None:
    running.clock(DAY, "23:00")
    assert ledgerlake("lanes", str(DAY)).status == 1
    change(settings().expectations, "gold/daily.yaml", "history: fact", "history: scd3")
    assert ledgerlake("contracts", "check").status == 1


def test_a_folder_without_a_bank_is_no_good_check(
    ledgerlake: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(tmp_path))
    settings.cache_clear()
    try:
        said = ledgerlake("contracts", "check")
    finally:
        settings.cache_clear()
    assert (said.status, f"There is no bank in {tmp_path}: nothing was checked." in said.err) == (1, True)


@pytest.mark.parametrize("written", ["[steward]", "[/steward]", "[red]me[/]"])
def test_what_a_mistake_quotes_is_shown_as_it_stands(bank: TinyBank, ledgerlake: Command, written: str) -> None:
    """Brackets are no markup: a text in them was swallowed, or ended the check."""
    change(settings().expectations, "bronze/payments.yaml", "onFail: warn", f"onFail: '{written}'")
    said = ledgerlake("contracts", "check", width=400)
    assert (said.status, f"onFail {written} is not one of" in said.out) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frobnicate"], "No such command 'frobnicate'.\nTry `ledgerlake --help`.\n"),
        (["files", "--zzz"], "No such option: --zzz\nTry `ledgerlake files --help`.\n"),
        (["lanes", "15.9.2026"], "'15.9.2026' is not a date. Write it as 2026-09-15.\n"),
        (["files", "--delivery", "D1"], "There is no delivery D1. `ledgerlake files` lists them.\n"),
    ],
)
def test_what_is_not_understood_is_2(bank: TinyBank, ledgerlake: Command, words: list[str], told: str) -> None:
    assert ledgerlake(*words) == Said(2, "", told)


def test_help_is_shown_where_a_word_is_missing(bank: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("contracts")
    assert (said.status, said.err) == (2, "")
    assert "Usage: ledgerlake contracts" in said.out


def test_a_database_that_does_not_answer_is_3(
    bank: TinyBank, ledgerlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.bank import open_bank
    from jobs.ledger import connect

    monkeypatch.setenv("LEDGERLAKE_DATABASE_URL", f"postgresql+psycopg://x:y@127.0.0.1:{free_port()}/x")
    for cached in (settings, connect, open_bank):
        cached.cache_clear()
    said = ledgerlake("files")
    assert said.status == 3
    assert "ledgerlake up" in said.err


def test_nobody_can_log_in_before_the_first_start(bank: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    told = ledgerlake("status", "--logins")
    assert (told.status, told.out) == (0, "Nobody can log in yet: `ledgerlake up` makes the logins.\n")


def commands_of(*words: str) -> list[str]:
    made = cast(Any, typer.main.get_command(cli.command_line(list(words))))
    return list(made.commands)


def test_a_command_that_is_named_is_loaded_with_its_group_alone() -> None:
    """However it is asked for, it is there; and of the groups only its own is."""
    every = commands_of()
    assert len(every) == len(set(every)) and {*cli.GROUP_OF} < {*every}
    alone = {name: commands_of(name) for name in every}
    assert [name for name, found in alone.items() if name not in found or len(found) > 3] == []
    assert commands_of("frobnicate") == commands_of("--help") == every
