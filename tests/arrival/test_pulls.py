"""Tables of a real PostgreSQL that are fetched by watermark: all rows once, whatever their moments, whoever dies, and however the source fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.local.secrets import secret
from jobs.arrival.inbox import Several
from jobs.arrival.land import Landed
from jobs.arrival.slices import Slices, take_due
from jobs.contracts.source import Source
from jobs.ledger import batches, clock, deliveries, slices
from jobs.settings import Settings
from tests.arrival.conftest import PLAIN, Bank, bronze

COLUMNS = {
    "staff_id": ["string!", PLAIN],
    "name": ["string", {"classification": "C2/3", "identifies": "name"}],
    "salary": ["decimal(18,2)", PLAIN],
    "badge": ["bigint", PLAIN],
    "city": ["string", {**PLAIN, "from": "address.city"}],
    "changed_at": ["timestamp!", PLAIN],
}
NOON = datetime(2026, 9, 15, 4, 0, tzinfo=UTC)


def staff(**pull: Any) -> Source:
    return Source.model_validate(
        {
            "feed": "hr_staff",
            "description": "d",
            "system": "hr",
            "owner": "personnel",
            "sender": "stream",
            "kind": "changed",
            "synthetic": True,
            "pull": {
                "kind": "postgres_table",
                "connection": "hr",
                "table": "hr.staff",
                "watermark": "changed_at",
                **pull,
            },
        }
    )


class Office:
    """The personnel office's database, the bank that fetches from it, and the bank's clock."""

    def __init__(self, bank: Bank, url: str):
        self.bank, self.url = bank, url
        self.db = psycopg.connect(url, autocommit=True)
        self.db.execute("drop schema if exists hr cascade")
        self.db.execute("create schema hr")
        self.db.execute(
            "create table hr.staff (staff_id text primary key, name text, salary numeric(18,2), badge bigint, address jsonb, changed_at timestamptz not null)"
        )
        self.inbox = Several(bank.inbox, Slices(bank.catalog, bank.ledger))
        self.clock(NOON)

    def clock(self, at: datetime) -> None:
        with self.bank.ledger.begin() as db:
            clock.set_now(db, at)

    def hires(self, *names: str, at: str = "clock_timestamp()", badge: int = 1, salary: str = "1000.00") -> None:
        for name in names:
            row = (name.lower(), name, salary, badge, json.dumps({"city": f"{name}ville"}))
            self.db.execute(
                f"insert into hr.staff values (%s, %s, %s, %s, %s, {at}) on conflict (staff_id) do update set changed_at = excluded.changed_at",
                row,
            )

    def take(self) -> int:
        return take_due(self.bank.catalog, self.bank.ledger)

    def land(self, **how: Any) -> list[Landed]:
        return replace(self.bank, inbox=self.inbox).land(**how)  # type: ignore[arg-type]

    def fetched(self, after: timedelta = timedelta(days=1)) -> list[list[str]]:
        """What each slice brought, staff ids in order, after the clock went on."""
        with self.bank.ledger.begin() as db:
            now = clock.now(db)
        self.clock(now + after)
        self.take()
        return [sorted(r["staff_id"] for r in self.bank.rows(one)) for one in self.land() if one.state == "verified"]

    def alerts(self) -> list[str]:
        with self.bank.ledger.begin() as db:
            return [a.message for a in batches.alerts(db)]


@pytest.fixture
def office(bank: Bank, postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Office]]:
    url = (
        f"postgresql://postgres:{secret(postgres, 'postgres_superuser')}@127.0.0.1:{postgres.postgres_port}/ledgerlake"
    )
    monkeypatch.setenv("LEDGERLAKE_SOURCE_HR", url)
    made: list[Office] = []

    def new(**pull: Any) -> Office:
        tables = {**bank.catalog.tables, "bronze.hr_staff": bronze("hr_staff", ["staff_id"], COLUMNS)}
        catalog = replace(bank.catalog, tables=tables, sources={**bank.catalog.sources, "hr_staff": staff(**pull)})
        made.append(Office(replace(bank, catalog=catalog), url))
        return made[-1]

    yield new
    for one in made:
        one.db.execute("drop schema if exists hr cascade")
        one.db.close()


def test_all_rows_first_and_then_those_that_changed(office: Callable[..., Office]) -> None:
    hr = office(overlap=0)
    hr.hires("Anna", "Boris")
    assert hr.fetched() == [["anna", "boris"]]
    assert hr.fetched() == []  # nothing new is no delivery
    hr.hires("Cleo")
    hr.db.execute("update hr.staff set salary = 2000, changed_at = clock_timestamp() where staff_id = 'anna'")
    assert hr.fetched() == [["anna", "cleo"]]


def test_values_arrive_as_they_are(office: Callable[..., Office]) -> None:
    hr = office()
    hr.hires("Anna", badge=2**53 + 1, salary="0.10", at="'2026-09-15 08:00:00.123456+08'")
    hr.db.execute("insert into hr.staff values ('x', null, null, null, null, '2026-09-15 00:00:00Z')")
    hr.take()
    [landed] = hr.land()
    x, anna = sorted(hr.bank.rows(landed), key=lambda r: str(r["salary"]), reverse=True)
    assert (anna["salary"], anna["badge"], anna["city"]) == ("0.10", "9007199254740993", "Annaville")
    assert anna["changed_at"] == "2026-09-15T00:00:00.123456+00:00"
    assert anna["name_token"] and "name" not in anna  # a token as in any other delivery
    assert (x["salary"], x["badge"], x["city"], x["name_token"]) == (None, None, None, None)
    delivery = hr.bank.delivery(landed)
    assert delivery.uri.startswith("postgres_table:hr/hr.staff?from=-infinity&to=2026-")
    assert (delivery.entity, str(delivery.business_date)) == ("hr", "2026-09-15")


def test_a_value_that_changes_there_and_back_is_two_changes(office: Callable[..., Office]) -> None:
    hr = office(overlap=0)
    hr.db.execute("insert into hr.staff values ('anna', 'Anna', 100, 1, '{}', clock_timestamp())")
    states = []
    for salary in (100, 200, 100):
        hr.db.execute(
            "update hr.staff set salary = %s, changed_at = clock_timestamp() where staff_id = 'anna'", (salary,)
        )
        hr.clock(NOON + timedelta(days=len(states) + 1))
        hr.take()
        states += [(one.state, hr.bank.rows(one)[0]["salary"]) for one in hr.land()]
    assert states == [("verified", "100.00"), ("verified", "200.00"), ("verified", "100.00")]


def test_a_transaction_that_is_at_work_holds_its_moment_back(office: Callable[..., Office]) -> None:
    hr = office(overlap=0)
    hr.hires("Anna")
    other = psycopg.connect(hr.url)
    other.execute("insert into hr.staff values ('late', 'Late', 1, 1, '{}', now())")
    hr.hires("Boris")
    assert hr.fetched() == [["anna"]]
    other.commit()
    other.close()
    assert hr.fetched() == [["boris", "late"]]


@pytest.mark.parametrize("watermark", ["null", "'infinity'"])
def test_rows_that_no_look_would_find_are_said(office: Callable[..., Office], watermark: str) -> None:
    hr = office()
    hr.db.execute("alter table hr.staff alter column changed_at drop not null")
    hr.hires("Anna")
    hr.db.execute(f"insert into hr.staff values ('nora', 'Nora', 1, 1, '{{}}', {watermark})")
    assert hr.fetched() == []
    assert "1 rows of hr.staff have no changed_at, so they would never be read" in hr.alerts()[0]


def test_a_slice_that_was_refused_is_not_settled_and_is_fetched_again_when_asked(office: Callable[..., Office]) -> None:
    hr = office(overlap=0)
    hr.db.execute("alter table hr.staff add column cvv2 text")
    tables = {
        **hr.bank.catalog.tables,
        "bronze.hr_staff": bronze("hr_staff", ["staff_id"], {**COLUMNS, "city": ["string", {**PLAIN, "from": "cvv2"}]}),
    }
    wrong = replace(hr.bank, catalog=replace(hr.bank.catalog, tables=tables))
    wrong = replace(wrong, inbox=Several(Slices(wrong.catalog, wrong.ledger)))  # type: ignore[arg-type]
    hr.hires("Anna")
    hr.take()
    [refused] = wrong.land()
    assert (refused.state, refused.cause) == ("refused", "c3_column")
    assert hr.land() == []
    with hr.bank.ledger.begin() as db:
        assert slices.take_again(db, refused.delivery_id)
        assert not slices.take_again(db, refused.delivery_id)
    [again] = hr.land(run_id="run-2")
    assert (again.state, again.rows) == ("verified", 1)
    assert again.delivery_id != refused.delivery_id


def test_a_source_that_hangs_or_answers_nonsense_stops_no_other(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    hr = office()
    hr.hires("Anna")

    def nonsense(*_: Any) -> Any:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr("jobs.arrival.pulls.postgres_table.Puller.spans", nonsense)
    assert hr.take() == 0
    assert "hr_staff: UnicodeDecodeError" in hr.alerts()[0]


def test_an_address_that_is_none_is_said_without_showing_it(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    hr = office()
    for address in ("postgres//hr:S3cretPw@db/hr", "postgresql://hr:S3%cretPw@db/hr"):
        monkeypatch.setenv("LEDGERLAKE_SOURCE_HR", address)
        hr.take()
    assert "is no address of a PostgreSQL server" in hr.alerts()[0]
    assert "cret" not in " ".join(hr.alerts())


def test_a_time_without_zone_is_no_watermark(office: Callable[..., Office]) -> None:
    hr = office()
    hr.db.execute("alter table hr.staff alter column changed_at type timestamp")
    hr.take()
    assert "Expected timestamptz" in hr.alerts()[0]


def test_many_rows_of_one_moment_are_not_lost(office: Callable[..., Office]) -> None:
    """F78. Some of them committed after the slice that their moment lies in was taken: the overlap brings them, and the others once more."""
    hr = office(overlap=3600)
    moment = "date_trunc('minute', clock_timestamp()) - interval '1 minute'"
    hr.hires("Anna", "Boris", at=moment)
    assert hr.fetched() == [["anna", "boris"]]
    hr.hires("Cleo", at=moment)
    hr.hires("Dora")
    assert hr.fetched() == [["anna", "boris", "cleo", "dora"]]


def test_a_number_may_be_the_watermark(office: Callable[..., Office]) -> None:
    hr = office(watermark="badge", overlap=1)
    hr.hires("Anna", badge=1)
    hr.hires("Boris", badge=2)
    assert hr.fetched() == [["anna", "boris"]]
    hr.hires("Cleo", badge=3)
    assert hr.fetched() == [["boris", "cleo"]]  # number 2 again: it lies in the overlap


def test_it_is_looked_at_no_oftener_than_declared(office: Callable[..., Office]) -> None:
    hr = office(every=15, overlap=0)
    hr.hires("Anna")
    assert hr.fetched() == [["anna"]]
    hr.hires("Boris")
    assert hr.fetched(timedelta(minutes=10)) == []
    assert hr.fetched(timedelta(minutes=5)) == [["boris"]]


def test_a_source_that_is_down_moves_nothing_and_is_said_once(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F76."""
    hr = office(overlap=0, every=1)
    hr.hires("Anna")
    assert hr.fetched() == [["anna"]]
    hr.hires("Boris")
    monkeypatch.setenv("LEDGERLAKE_SOURCE_HR", "postgresql://127.0.0.1:1/nowhere")
    hr.clock(NOON + timedelta(days=2))
    assert (hr.take(), hr.take()) == (0, 0)
    [told] = hr.alerts()
    assert (
        "hr_staff: the source hr does not answer" in told
        and "Nothing was moved on" in told
        and "Owner: personnel" in told
    )
    monkeypatch.setenv("LEDGERLAKE_SOURCE_HR", hr.url)
    assert hr.take() == 1
    assert hr.alerts() == [told]  # it answers, and what was taken is not read yet
    [landed] = hr.land()
    assert (hr.alerts(), [r["staff_id"] for r in hr.bank.rows(landed)]) == ([], ["boris"])
    monkeypatch.delenv("LEDGERLAKE_SOURCE_HR")
    for hour in (1, 2, 3):  # again on the same day: told, and once an hour at most
        hr.clock(NOON + timedelta(days=2, hours=hour))
        hr.take()
    [again] = hr.alerts()
    assert "Set LEDGERLAKE_SOURCE_HR" in again


def test_a_source_that_dies_while_it_is_read_is_read_again_from_the_same_position(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    hr = office(overlap=0)
    hr.hires("Anna", "Boris")
    assert hr.take() == 1
    monkeypatch.setenv("LEDGERLAKE_SOURCE_HR", "postgresql://127.0.0.1:1/nowhere")
    [landed] = hr.land()
    assert (landed.state, hr.bank.stored()) == ("arriving", [])
    assert "does not answer" in str(landed.reason)
    hr.hires("Cleo")  # of the next slice
    monkeypatch.setenv("LEDGERLAKE_SOURCE_HR", hr.url)
    [again] = hr.land(run_id="run-2")
    assert (again.delivery_id, again.state, again.rows) == (landed.delivery_id, "verified", 2)
    assert hr.fetched() == [["cleo"]]


def test_two_runs_at_once_take_one_slice(office: Callable[..., Office], both: Callable[..., list[Any]]) -> None:
    hr = office()
    hr.hires("Anna")
    assert sorted(both(hr.take, hr.take)) == [0, 1]
    with hr.bank.ledger.begin() as db:
        assert len(slices.waiting(db)) == 1
    assert [one.rows for one in hr.land()] == [1]


def test_a_table_that_is_not_as_the_contract_says_is_said(office: Callable[..., Office]) -> None:
    hr = office()
    hr.db.execute("alter table hr.staff drop column salary")
    hr.take()
    [told] = hr.alerts()
    assert "the table hr.staff has no salary; it has staff_id, name, badge, address, changed_at" in told
    hr.db.execute("alter table hr.staff add column salary numeric, alter column changed_at type text")
    hr.clock(NOON + timedelta(days=1))
    hr.take()
    assert "the watermark changed_at is of type text" in hr.alerts()[-1]


def test_deliveries_of_slices_are_lanes_of_their_own(office: Callable[..., Office]) -> None:
    hr = office(every=15, overlap=0)
    for name in ("Anna", "Boris"):
        hr.hires(name)
        hr.fetched(timedelta(minutes=15))
    with hr.bank.ledger.begin() as db:
        assert [(d.feed, d.entity, d.seq, d.state) for d in deliveries.find(db)] == [
            ("hr_staff", "hr", 1, "verified"),
            ("hr_staff", "hr", 2, "verified"),
        ]


def test_a_large_table_is_read_in_constant_memory(office: Callable[..., Office]) -> None:
    import tracemalloc

    hr = office()
    hr.db.execute(
        "insert into hr.staff select 's' || n, 'Name', 1, n, '{}', clock_timestamp() - interval '1 hour' from generate_series(1, 60000) n"
    )
    hr.take()
    tracemalloc.start()
    [landed] = hr.land()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert landed.rows == 60_000
    assert peak < 200 << 20


def test_a_pulled_source_says_neither_files_nor_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="says neither files nor format"):
        Source.model_validate({**staff().model_dump(by_alias=True, exclude_none=True)})
