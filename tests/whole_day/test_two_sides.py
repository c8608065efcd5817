"""A day on which two sides differ, and the same day when the branches have sent what is right.

b02's general ledger is off by 100.00. b01's movements lack the credit of a transfer, a deposit, the registration of a sale, and an original that is
reversed: whoever lost a movement also has an account-day that does not close.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest

from jobs.bank import Bank
from jobs.commands import breaks, demo, events
from jobs.demo_bank import AnswerKey, DemoBank, Sent
from jobs.demo_bank.encoding import yuan
from jobs.demo_bank.feeds import FEEDS
from jobs.demo_bank.truth import Transaction
from jobs.ledger import batches, days, releases
from tests.whole_day.driven import Driven, first_bank, own_servers

# On the second day a branch takes a movement back that it made that day.
SEED = 6
FACTS = (
    "silver.transactions", "silver.reversals", "silver.sales", "silver.channel_events", "silver.account_balances", "silver.gl_balances",
    "gold.party_days",
)  # fmt: skip
pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.story, pytest.mark.timeout(1800)]


@dataclass
class Played:
    sender: DemoBank
    driven: Driven
    bank: Bank

    def day(self, files: list[Sent], day: date) -> None:
        for file in files:
            file.write(self.bank.home / "inbox")
        demo.set_clock(self.bank, self.bank.catalog.profile.local(day, demo.CLOSED))
        self.driven.play()

    def breaks(self, day: date) -> list[tuple[str, str]]:
        return [(row["kind"], row["subject"]) for row in breaks.of_day(self.bank, day, day)]

    def count(self, table: str, day: date) -> int:
        with duckdb.connect() as engine:
            engine.register("t", self.bank.lake.dataset(table))
            sql = "select count(*) from t where __verdict = 'accepted' and business_date = $day"
            return int(engine.execute(sql, {"day": day}).fetchall()[0][0])


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """The history and a clean day; the branches sent movements enough for a reversal on the same day."""
    with own_servers("ledgerlake_sides_") as (folder, servers):
        driven = first_bank(folder, servers)
        sender = DemoBank(seed=SEED, scale="XS")
        yield Played(sender, driven, driven.take_on(sender))


def with_items(sender: DemoBank, sent: Sent, items: list[Any]) -> Sent:
    """The same file with other items; trailer and signal fit them."""
    feed, out = FEEDS[sent.feed], io.BytesIO()
    writer = feed.encoder.open(out, sent.entity, sent.business_date)
    writer.add([feed.row(sender.people, item, sent.business_date) for item in items])
    stated = yuan(sum(map(feed.fen, items)))
    writer.close(len(items), stated)
    signal = f"{sent.file_name}|{len(items)}|{stated}|{hashlib.sha256(out.getvalue()).hexdigest()}\n"
    return replace(sent, data=out.getvalue(), signal=signal, rows=len(items))


def first(told: list[Transaction], wanted: Callable[[Transaction], bool]) -> Transaction:
    return next(t for t in told if wanted(t))


def test_a_clean_day_agrees_on_all_sides(played: Played) -> None:
    day = played.sender.first_live_day
    played.day(list(played.sender.day_files(day)), day)
    assert played.breaks(day) == []
    with played.bank.ledger.begin() as db:
        assert batches.cases(db) == []
        assert releases.listing(db, day=day)[0].kind == "final"
    kinds = {"gl_subject", "account_day", "internal_transfer", "reversal", "sale_posting"}
    with duckdb.connect() as engine:
        engine.register("t", played.bank.lake.dataset("silver.reconciliations"))
        assert {kind for (kind,) in engine.execute("select distinct kind from t").fetchall()} == kinds
    key = AnswerKey(DemoBank(seed=SEED, scale="XS")).of(day)["tables"]
    assert {table: played.count(table, day) for table in FACTS} == {table: key[table]["rows"] for table in FACTS}
    told = played.sender.day(day).events
    with duckdb.connect() as engine:
        engine.register("t", played.bank.lake.dataset("gold.event_quality"))
        sums = "sum(event_count), sum(bot_event_count), sum(test_event_count), sum(staff_event_count), sum(wrong_clock_count)"
        found = engine.execute(f"select {sums} from t where business_date = $day", {"day": day}).fetchone()
    flags = [(1, e.is_bot, e.is_test, e.is_staff, e.clock_off > 300) for e in told]
    assert found == tuple(map(sum, zip(*flags, strict=True)))
    assert sum(
        n for _, n in events.lateness(events.of_day(played.bank, day, played.bank.lake.version(events.QUALITY)))
    ) == len(told)


def test_a_day_that_is_built_again_from_the_same_rows_says_no_change(played: Played) -> None:
    """H2: every table that is written anew has the rows that it had, and every figure says what it said. Built again a first time, the day takes up what
    logins of that day changed on the days before it (its sales of twelve months, its month to date); the second time there is nothing to take up.
    """
    day = played.sender.first_live_day
    for _ in range(2):
        with played.bank.ledger.begin() as db:
            key = days.request_again(db, played.bank.catalog, day, "repaired: looked at twice")
        played.driven.play()
    with played.bank.ledger.begin() as db:
        newest, first = releases.listing(db, day=day)[0], releases.listing(db, day=day)[-1]
        written = [b for b in releases.written_by(db, key).values() if b.delta_version is not None]
    assert (newest.run_key, newest.is_no_change, first.is_no_change) == (key, True, False)
    assert {"gold.kpi_values", "gold.party_days"} <= {batch.table_name for batch in written}


def test_each_difference_is_named_and_the_branch_day_is_kept_out(played: Played) -> None:
    sender, bank = played.sender, played.bank
    day = sender.first_live_day + timedelta(days=1)
    files = list(sender.day_files(day))
    told = [t for t in sender.day(day).transactions if t.status == "0"]
    branch, original = next(
        (t.branch_id, o)
        for t in told
        if t.reverses and t.branch_id != "b02"
        for o in told
        if o.key == (t.branch_id, t.reverses)
    )
    own = [t for t in told if t.branch_id == branch and t.account != original.account]
    credit = first(own, lambda t: t.line == 2)
    untouched = [t for t in own if t.account not in (credit.account, original.account)]
    deposit = first(untouched, lambda t: t.code == "CK" and not t.reverses)
    registration = first(own, lambda t: bool(t.sale_id))
    lost = {id(t) for t in (original, credit, deposit, registration)}
    spoilt = []
    for sent in files:
        if (sent.feed, sent.entity) == ("core_transactions", branch):
            items = [t for t in sender.day(day).transactions if t.branch_id == branch and id(t) not in lost]
            spoilt.append(with_items(sender, sent, items))
        elif (sent.feed, sent.entity) == ("core_gl", "b02"):
            lines = [b for b in sender.day(day).gl if b.branch_id == "b02"]
            wrong = lines[0]._replace(credit=lines[0].credit + 10_000, closing=lines[0].closing + 10_000)
            spoilt.append(with_items(sender, sent, [wrong, *lines[1:]]))
        else:
            spoilt.append(sent)
    played.day(spoilt, day)

    expected = [("account_day", f"core:{t.account.account_no}") for t in (original, credit, deposit)] + [
        ("internal_transfer", f"core:{credit.counterparty}>core:{credit.account.account_no}"),
        ("reversal", f"core:{branch}:{original.reference}"),
        ("sale_posting", f"sales:{registration.sale_id}"),
    ]
    left_out = {f"sales:{t.sale_id}" for t in told if t.sale_id and t.branch_id == "b02"}
    assert sorted(b for b in played.breaks(day) if b[1] not in left_out) == sorted(expected)
    with bank.ledger.begin() as db:
        made = releases.listing(db, day=day)[0]
        run = days.get(db, made.run_key)
        cases = {case.cause: case for case in batches.cases(db)}
    assert made.kind == "provisional"
    assert run.missing == [f"{feed}|b02|{day}" for feed in ("core_balances", "core_gl", "core_transactions")]
    assert set(cases) == {"agrees_with_core_balances", "reversals_have_an_original"}
    assert (cases["agrees_with_core_balances"].money, cases["agrees_with_core_balances"].subject) == (100, f"b02|{day}")
    assert played.count("silver.gl_balances", day) == len([b for b in sender.day(day).gl if b.branch_id != "b02"])


def test_what_is_sent_again_is_built_and_counted_once(played: Played) -> None:
    sender, bank = played.sender, played.bank
    day = sender.first_live_day + timedelta(days=1)
    again = [f for f in sender.day_files(day) if f.feed in ("core_gl", "core_transactions")]
    played.day(again, day)
    assert played.breaks(day) == []
    with bank.ledger.begin() as db:
        made = releases.listing(db, day=day)[0]
        assert (made.kind, batches.cases(db)) == ("restated", [])
        assert days.get(db, made.run_key).missing == []
    key = AnswerKey(DemoBank(seed=SEED, scale="XS")).of(day)["tables"]
    assert {table: played.count(table, day) for table in FACTS} == {table: key[table]["rows"] for table in FACTS}
