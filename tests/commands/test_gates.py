"""One page over the gates' results."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from sqlalchemy import select

from jobs.bank import open_bank
from jobs.ledger import batches, releases
from jobs.ledger.models import GateResult
from jobs.quality.balance import Balance
from tests.commands.conftest import Said
from tests.commands.test_tables import HISTORY, full
from tests.ledger.conftest import DAY, TinyBank

__all__ = ["full"]


def test_one_page_lists_the_results_and_leads_to_theirs(full: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    page = open_bank("tiny").docs / "index.html"
    assert not page.exists()
    said = ledgerlake("gates", "--docs")
    assert said.status == 1  # a stop is among them
    assert said.out.endswith(f"All of these: {page}\n")
    told = Path(page).read_text(encoding="utf-8")
    assert "<td>gold.customer_360_daily</td>" in told and "<td>stop</td>" in told and HISTORY in told
    assert f"href='{HISTORY.replace('|', '%7C')}_customer_360_daily.html'" in told


def test_with_json_the_output_stays_json(full: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    said = ledgerlake("gates", "--docs", "--json")
    assert [json.loads(line)["table_name"] for line in said.out.splitlines()] == ["gold.customer_360_daily"]
    assert said.err == f"All of these: {open_bank('tiny').docs / 'index.html'}\n"


def test_what_came_in_and_where_it_went_stands_below_the_result(
    full: TinyBank, ledgerlake: Callable[..., Said]
) -> None:
    """Ten rows came in: seven count, two were kept aside, one was a copy. Of a hundred and two that a named rule leaves out one is lost."""
    went = {"accepted_rows": 7, "accepted_money": Decimal("70.00"), "rejected_rows": 2, "rejected_money": Decimal("-1.50")}  # fmt: skip
    went |= {"duplicate_rows": 1, "duplicate_money": Decimal("10.00")}
    for received, filtered, said in (
        (10, {}, "Received 10 rows with 78.50; all accounted for: accepted 7 rows with 70.00, rejected 2 rows with -1.50, duplicate 1 rows with 10.00."),
        (102, {"filtered:is_person": [91, "0.00"]}, "filtered:is_person 91 rows with 0.00: off by -1 rows."),
    ):  # fmt: skip
        balance = Balance.from_metrics(went | filtered, received_rows=received, received_money=Decimal("78.50"))
        with full.ledger.begin() as db:
            gate = db.execute(select(GateResult.batch_id, GateResult.subject)).one()
            batches.record_balance(
                db,
                batch_id=gate.batch_id,
                table="gold.customer_360_daily",
                subject=gate.subject,
                **balance.as_record(),
            )
        assert said in ledgerlake("gates", width=300).out
        [told] = [json.loads(line)["balance"] for line in ledgerlake("gates", "--json").out.splitlines()]
        assert (told["received_rows"], told["is_balanced"]) == (received, not filtered)
        assert told["parts"]["rejected"] == {"rows": 2, "money": "-1.50"}


def test_times_are_those_of_the_bank_s_clock(running: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    """A demo's clock stands at its own day; all that people see of a day stands at that time."""
    running.clock(DAY, "21:15")
    running.whole_day()
    [key] = running.decide()
    made = running.release(key)
    with running.ledger.begin() as db:
        batch = batches.start(db, "silver.movements", key, "r")
        batches.record_gate(
            db, batch_id=batch.batch_id, table="silver.movements", subject=key, outcome="pass", rules_run=1, failed=[], result={}, docs_path=None, run_id="r"
        )  # fmt: skip
        releases.set_published(db, made)
    assert f"{DAY} 21:15" in ledgerlake("gates", width=200).out
    assert ledgerlake("releases", width=300).out.count(f"{DAY} 21:15") == 2  # released, and in the mart
