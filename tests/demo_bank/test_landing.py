"""The demo bank's files through the real arrival.

A clean day lands whole, a faulty day as the answer key says, and no identifier stands in the clear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.arrival.folder import Folder
from jobs.arrival.land import land
from jobs.arrival.outcomes import Landed
from jobs.contracts import load
from jobs.demo_bank import Berka, DemoBank, Sent, answer_key, hong_kong
from jobs.demo_bank.faults import ARCHIVES as HOSTILE
from jobs.demo_bank.faults import KINDS
from jobs.demo_bank.feeds import ARCHIVES
from jobs.ledger import Ledger, deliveries
from jobs.privacy.keys import load_keys
from jobs.privacy.seal import open_sealed
from tests.demo_bank.test_faults import ALL


class Platform:
    """As much of the platform as takes files up."""

    def __init__(self, ledger: Ledger, home: Path, profile: str) -> None:
        catalog = load(profile)
        self.catalog = replace(catalog, profile=catalog.profile.model_copy(update={"profile": ledger.profile}))
        self.ledger, self.inbox = ledger, home / "banks" / ledger.profile / "inbox"
        self.inbox.mkdir(parents=True, exist_ok=True)

    def land(self) -> list[Landed]:
        return land(self.catalog, self.ledger, Folder(self.inbox), "run-1", settle_seconds=0.0)

    def rows_of(self, landed: Landed) -> Path:
        with self.ledger.begin() as db:
            return Path(deliveries.get(db, landed.delivery_id).rows_uri)


@pytest.fixture
def platform(installation: Path, new_ledger: Callable[[], Ledger]) -> Callable[[str], Platform]:
    return lambda profile: Platform(new_ledger(), installation, profile)


def test_a_clean_day_lands_whole_with_the_stated_rows_and_money(
    platform: Callable[[str], Platform], small_bank: DemoBank
) -> None:
    bank = platform("demo")
    files = small_bank.send_day(bank.inbox, small_bank.first_live_day)
    sent = {part.file_name: part for s in files for part in (s, *s.members)}
    landed = bank.land()
    assert {x.file_name for x in landed} == set(sent)
    for one in landed:
        expected = sent[one.file_name]
        if expected.members:
            assert (one.state, one.reason) == ("loaded", f"unpacked: {len(expected.members)} members")
            continue
        assert (one.state, one.cause, one.reason, one.rows) == ("verified", None, None, expected.rows)
        assert expected.money is None or one.money is None or one.money * 100 == expected.money


def test_no_identifier_of_the_bank_stands_in_any_rows_file(
    platform: Callable[[str], Platform], small_bank: DemoBank
) -> None:
    bank = platform("demo")
    small_bank.send_day(bank.inbox, small_bank.first_live_day)
    secret = set().union(*small_bank.people.identifiers().values())
    for one in bank.land():
        if one.feed in ARCHIVES:
            continue  # an archive has no rows of its own
        table = pq.read_table(bank.rows_of(one))
        for name in table.column_names:
            if str(table.schema.field(name).type) == "string":
                found = set(pc.unique(table.column(name)).to_pylist()) & secret
                assert not found, f"{one.file_name}: {name} holds {len(found)} clear identifiers"


def test_the_agents_encrypted_package_lands_as_three_feeds(
    platform: Callable[[str], Platform], small_bank: DemoBank
) -> None:
    """What was told of the day stands in the rows, character by character and cent by cent; what is kept of the package is what was sent."""
    bank, day = platform("demo"), small_bank.day(small_bank.first_live_day)
    [package] = [sent for sent in small_bank.day_files(day.date) if sent.feed == "hk_package"]
    written = package.write(bank.inbox).read_bytes()
    landed = {one.feed: one for one in bank.land()}
    states = {feed: (one.state, one.rows, one.money) for feed, one in landed.items()}
    deposits, quotes, turnovers = (
        tell(small_bank.people, day, "HK") for tell in (hong_kong.deposits, hong_kong.quotes, hong_kong.turnovers)
    )
    assert states == {
        "hk_deposits": ("verified", len(deposits), Decimal(sum(d.cents for d in deposits)) / 100),
        "hk_quotes": ("verified", len(quotes), None),
        "hk_ledger": ("verified", len(turnovers), Decimal(sum(t.debit for t in turnovers)) / 100),
        "hk_package": ("loaded", None, None),
    }
    rows = {feed: pq.read_table(bank.rows_of(landed[feed])).to_pylist() for feed in states if feed != "hk_package"}
    assert [(r["receipt_no"], r["product"], r["remark"] or "") for r in rows["hk_deposits"]] == [
        (d.receipt_no, d.product, d.remark) for d in deposits
    ]
    assert [(r["name"], Decimal(r["bid"]), Decimal(r["ask"])) for r in rows["hk_quotes"]] == [
        (name, Decimal(bid) / 10**6, Decimal(ask) / 10**6) for _, name, bid, ask in quotes
    ]
    assert [(r["subject_name"], int(r["entries"]), Decimal(r["net"])) for r in rows["hk_ledger"]] == [
        (t.name, t.entries, Decimal(t.debit - t.credit) / 100) for t in turnovers
    ]
    with bank.ledger.begin() as db:
        raw = deliveries.get(db, landed["hk_package"].delivery_id).raw_uri
    with open_sealed(Path(raw), load_keys()) as kept:
        assert kept.read() == written


def test_a_faulty_day_ends_as_the_answer_key_says(platform: Callable[[str], Platform], small_bank: DemoBank) -> None:
    """Repeats and corrections are sent when what they replace has landed."""
    bank = platform("demo")
    day = small_bank.first_live_day
    files = list(small_bank.day_files(day, ALL))
    landed: list[Landed] = []
    for wave in (False, True):
        for sent in files:
            if (sent.replaces is not None) == wave:
                sent.write(bank.inbox)
        landed += bank.land()
    key = answer_key(small_bank, day, ALL)
    states: dict[tuple[str, str], list[str]] = {}
    causes: dict[tuple[str, str], str | None] = {}
    for one in landed:
        states.setdefault((one.feed, one.entity), []).append(one.state)
        causes[one.feed, one.entity] = one.cause
    for caught in key["caught"]:
        lane = (caught.feed, caught.entity)
        if caught.outcome == "refused":
            assert states[lane] == ["refused"] and causes[lane] in caught.causes, (caught, causes[lane])
        elif caught.outcome == "missing":
            assert lane not in states
        elif caught.fault == "F19":
            assert states[lane] == ["verified", "verified"]
        elif caught.fault == "F20":
            assert states[lane] == ["verified", "ignored_duplicate"]
    clean = {lane for lane, s in states.items() if lane not in {(c.feed, c.entity) for c in key["caught"]}}
    assert all(set(states[lane]) == {"loaded" if lane[0] in ARCHIVES else "verified"} for lane in clean)
    first = next(x for x in landed if (x.feed, x.entity) == ("core_transactions", "b01"))
    told = key["feeds"]["core_transactions"]["b01"]
    assert (first.rows, first.money) == (told["received_rows"], told["received_money"])


def test_what_is_refused_at_arrival_is_refused_for_its_own_cause(platform: Callable[[str], Platform]) -> None:
    """All faults over their days; what is judged later, row by row, is verified here."""
    bank, sender = platform("demo"), DemoBank(seed=7, scale="XS")
    for day, faults in sender.spread(sender.first_live_day).items():
        sent = [one for one in sender.day_files(day, faults) if not one.replaces]
        for one in sent:
            one.write(bank.inbox)
        landed = bank.land()
        refused = {(x.feed, x.entity): x.cause for x in landed if x.state == "refused"}
        caught = [c for c in sender.plan(day, faults).caught if c.outcome == "refused" and c.fault not in HOSTILE]
        assert {(c.feed, c.entity) for c in caught} == refused.keys() - {("core_params", "HO")}, day
        assert all(refused[c.feed or "", c.entity or ""] in c.causes for c in caught), (day, refused)
        hostile = {x.cause for x in landed if x.feed == "core_params" and x.state == "refused"}
        assert hostile == {KINDS[fault].causes[0] for fault in faults if fault in HOSTILE}


def test_the_take_on_lands_whole(platform: Callable[[str], Platform], small_bank: DemoBank) -> None:
    bank = platform("demo")
    paths = DemoBank(seed=1, scale="XS").take_on(bank.inbox)
    landed = bank.land()
    assert len(landed) == len(paths)
    assert {(x.state, x.entity) for x in landed} == {("verified", "TAKEON")}


def test_days_of_the_real_bank_land_whole(platform: Callable[[str], Platform], berka_folder: Path) -> None:
    bank, berka = platform("berka"), Berka(berka_folder)
    berka.take_on(bank.inbox)
    sent: list[Sent] = []
    for day in (berka.days[1], berka.days[2], berka.days[313]):
        for one in berka.day_files(day):
            one.write(bank.inbox)
            sent.append(one)
    landed = bank.land()
    assert {x.state for x in landed} == {"verified"}, [x.reason for x in landed if x.reason]
    rows = {x.file_name: x.rows for x in landed}
    assert all(rows[s.file_name] == s.rows for s in sent)
