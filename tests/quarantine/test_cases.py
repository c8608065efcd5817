"""A case as people see it: its rows without identifiers, its age, what its fix changed; and what is kept for it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, update

from jobs import quarantine as bench
from jobs import upkeep
from jobs.bank import open_bank
from jobs.contracts import Catalog
from jobs.contracts import load as contracts
from jobs.ledger import batches, clock, days, deliveries, fixes, releases
from jobs.ledger.models import DayRun, Delivery, Release
from jobs.quarantine import NotAllowed, outcome
from jobs.quarantine.cases import hidden
from tests.ledger.conftest import DAY, TinyBank, at
from tests.quarantine.conftest import ANNA, BERND, Command, case_of, load, send


def test_the_first_release_that_was_built_with_a_fix_is_found(tiny: TinyBank) -> None:
    delivery = send("p1|X|1.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    bench.approve(opened, fix, BERND)
    load()
    with tiny.ledger.begin() as db:
        batch = deliveries.get(db, delivery).live_batch
        for version, parts in ((1, []), (2, [f"{delivery}/{batch}", "D9/9"]), (3, [f"{delivery}/{batch}"])):
            key = days.make_key(DAY, DAY, version)
            run = {
                "run_key": key,
                "from_date": DAY,
                "to_date": DAY,
                "version": version,
                "cause": "late",
                "state": "released",
            }
            empty = {"expected_units": 0, "received_units": 0, "missing": []}
            db.execute(
                insert(DayRun).values(**run, **empty, coverage={}, deliveries=parts, requested_at=at(DAY, "22:00"))
            )
            made = {name: run[name] for name in ("run_key", "from_date", "to_date", "version", "cause")}
            db.execute(insert(Release).values(**made, **empty, kind="final", run_id="r", released_at=at(DAY, "23:00")))
        found = fixes.get(db, fix)
        assert [r.run_key for r in bench.restatements(db, found)] == [f"{DAY}|v2"]
        assert bench.shares(db, found)  # D9 came into the day with it
        alone = update(DayRun).where(DayRun.run_key == f"{DAY}|v2").values(deliveries=[f"{delivery}/{batch}"])
        db.execute(alone)
        assert not bench.shares(db, found)


def test_a_fix_of_a_feed_that_nothing_is_built_from_is_credited_with_no_figure() -> None:
    demo = contracts("demo")
    assert releases.FIGURES not in demo.built_from("bronze.market_rates")
    assert {"silver.transactions", releases.FIGURES} <= demo.built_from("bronze.core_transactions")
    assert releases.FIGURES in demo.built_from("bronze.core_corrections")


def test_figures_of_a_fix_are_asked_for_where_its_rows_reach_them(
    tiny: TinyBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny bank has no figures: what a day's release changed was not changed by its payments, however many figures that are."""
    send("p1|X|1.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    released = SimpleNamespace(run_key=f"{DAY}|v2")
    monkeypatch.setattr(outcome, "restatements", lambda *_: [released])
    monkeypatch.setattr(outcome, "_changed", lambda *_: ["70 figures"])
    with tiny.ledger.begin() as db:
        row = fixes.get(db, fix)
    assert bench.effects(opened, row) == []
    monkeypatch.setattr(Catalog, "built_from", lambda *_: {releases.FIGURES})
    assert bench.effects(opened, row) == ["70 figures"]


def test_rows_of_a_case_are_shown_without_identifiers(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6222020200112233|张三")
    case = case_of("direction_known")
    (sample,) = bench.samples(open_bank("tiny"), case)
    assert (sample.line, sample.values["account"], sample.values["direction"]) == (1, "622202******2233", "X")
    assert sample.values["payer_token"] == "•••"
    page = ledgerlake("quarantine", "case", str(case.case_id), width=200)
    assert "direction X" in page.out and "6222020200112233" not in page.out and "张三" not in page.out
    assert "map_code, correct, accept, resend, reject" in page.out
    machine = json.loads(ledgerlake("quarantine", "case", str(case.case_id), "--json").out)
    assert machine["samples"][0]["values"]["account"] == "622202******2233" and machine["age_days"] == 0


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("6217001234561234", "621700******1234"),  # a card
        ("6217 0012 3456 1234", "6217 00** **** 1234"),
        ("６２１７００１２３４５６１２３４", "６２１７００******１２３４"),
        ("6217001234561234567", "621700*********4567"),
        ("13800138000", "138****8000"),  # a phone
        ("138-0013-8000", "138-****-8000"),
        ("110105199003074514", "110105************"),  # an identity number
        ("11010519900307451X", "110105***********x"),
        ("110105900307451", "110105*********"),  # of fifteen digits
        ("+86 13800138000", "+** *******8000"),
        ("C0012345", "x***2345"),  # a customer
        ("12,345.67x", "**,**5.67x"),  # an amount that could not be read
        ("2026-13-41", "****-13-41"),
        ("1234", "****"),
        ("", ""),
        ("张三", "xx"),
        ("张三还房租", "张xxxx"),
        ("张三的身份证110105199003074514", "张xxxxx******************"),
        ("Anna Li, rent", "Axxx xx, xxxx"),
        ("---", "---"),
    ],
)
def test_what_is_masked_looks_masked(came: str, shown: str) -> None:
    """As long as it was, and no digit in it that did not come."""
    assert hidden(came) == shown


def test_a_case_grows_old_by_the_banks_clock(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6200001|")
    with tiny.ledger.begin() as db:
        clock.set_now(db, at(DAY.replace(day=20), "21:00"))
        assert bench.age_days(db, case_of("direction_known")) == 5
    [listed] = map(json.loads, ledgerlake("quarantine", "--json").out.splitlines())
    [cause] = map(json.loads, ledgerlake("quarantine", "--by-cause", "--json").out.splitlines())
    assert (listed["age_days"], cause["oldest_days"]) == (5, 5)
    assert " age " in ledgerlake("quarantine").out.splitlines()[0]
    told = ledgerlake("quarantine", "case", str(listed["case_id"])).out.splitlines()
    assert [line.split() for line in told if line.startswith("age")] == [["age", "5"]], (
        "among its facts, as the list has it"
    )


def test_what_arrived_is_kept_while_a_case_is_open(tiny: TinyBank) -> None:
    with_case, without = send("p1|X|1.00|6200001|"), send("p2|D|1.00|6200001|", entity="b02")
    with tiny.ledger.begin() as db:
        clock.set_now(db, at(DAY.replace(day=25), "21:00"))
    upkeep.tidy("tiny", "run")
    with tiny.ledger.begin() as db:
        kept = {d: deliveries.get(db, d).rows_uri for d in (with_case, without)}
    assert kept[without] is None and Path(kept[with_case]).exists()
    opened, case = open_bank("tiny"), case_of("direction_known")
    fix = bench.propose_code(opened, case.case_id, "X", "credit", "r", ANNA)
    with tiny.ledger.begin() as db:
        db.execute(update(Delivery).values(rows_uri=None))
    with pytest.raises(NotAllowed, match=f"What arrived as {with_case} is no longer kept"):
        bench.approve(opened, fix, BERND)


def test_what_a_day_with_an_open_case_of_silver_was_built_from_is_kept(tiny: TinyBank) -> None:
    """A row that is turned away in silver is corrected in the delivery that it came with, though that one has no case itself."""
    built_from, other = send("p1|D|1.00|6200001|"), send("p2|D|1.00|6200001|", entity="b02")
    key = days.make_key(DAY, DAY, 1)
    run = {"run_key": key, "from_date": DAY, "to_date": DAY, "version": 1, "cause": "complete", "state": "released"}
    empty = {"expected_units": 1, "received_units": 1, "missing": [], "coverage": {}}
    case = {
        "kind": "rows",
        "table": "silver.transactions",
        "cause": "known_account",
        "subject": key,
        "business_date": DAY,
    }
    with tiny.ledger.begin() as db:
        chosen = [f"{built_from}/{deliveries.get(db, built_from).live_batch}"]
        db.execute(insert(DayRun).values(**run, **empty, deliveries=chosen, requested_at=at(DAY, "22:00")))
        batches.open_case(db, **case, reason="no such account", affected_rows=1, owner="tests", run_id="run")
        clock.set_now(db, at(DAY.replace(day=25), "21:00"))
    upkeep.tidy("tiny", "run")
    with tiny.ledger.begin() as db:
        kept = {d: deliveries.get(db, d).rows_uri for d in (built_from, other)}
    assert kept[other] is None and Path(str(kept[built_from])).exists()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Decimal("0.571234"), Decimal("0.571301"), ("0.5712", "0.5713")),
        (Decimal("10"), Decimal("12.5"), ("10.00", "12.50")),
        (None, Decimal("1234.5"), ("–", "1,234.50")),
    ],
)
def test_a_figure_that_changed_is_told_so_that_one_sees_it(before: Any, after: Any, told: tuple[str, str]) -> None:
    assert bench.Effect("K4", "day", DAY, "bank", "amount_share", before, after).told == told
