"""Change capture from a real PostgreSQL: insertions, updates and deletions, once each and in the order of their commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from infra.local.secrets import secret
from jobs.arrival.inbox import Several
from jobs.arrival.land import Landed
from jobs.arrival.pulls import postgres_changes
from jobs.arrival.slices import Slices, take_due
from jobs.contracts.source import Source
from jobs.ledger import batches
from jobs.settings import Settings
from tests.arrival.conftest import PLAIN, Bank, bronze

COLUMNS = {
    "op": ["string!", PLAIN],
    "lsn": ["string!", PLAIN],
    "seq": ["int!", PLAIN],
    "committed_at": ["timestamp!", PLAIN],
    "complaint_id": ["string!", PLAIN],
    "phone": ["string", {"classification": "C2/3", "identifies": "phone"}],
    "amount": ["decimal(18,2)", PLAIN],
    "note": ["string", PLAIN],
}
SLOT, PUBLICATION = "ledgerlake_complaints", "ledgerlake"


class Desk:
    """A complaints database with a publication, and the bank that captures its changes."""

    def __init__(self, bank: Bank, url: str):
        source = Source.model_validate(
            {
                "feed": "complaints",
                "description": "d",
                "system": "crm",
                "owner": "service",
                "sender": "stream",
                "kind": "events",
                "synthetic": True,
                "pull": {
                    "kind": "postgres_changes",
                    "connection": "crm",
                    "table": "crm.complaints",
                    "slot": SLOT,
                    "publication": PUBLICATION,
                },
            }
        )
        tables = {
            **bank.catalog.tables,
            "bronze.complaints": bronze("complaints", ["complaint_id", "lsn", "seq"], COLUMNS),
        }
        catalog = replace(bank.catalog, tables=tables, sources={**bank.catalog.sources, "complaints": source})
        self.bank = replace(bank, catalog=catalog, inbox=Several(bank.inbox, Slices(catalog, bank.ledger)))  # type: ignore[arg-type]
        self.db = psycopg.connect(url, autocommit=True)
        self.clean()
        self.db.execute("create schema crm")
        self.db.execute(
            "create table crm.complaints (complaint_id text primary key, phone text, amount numeric(18,2), note text)"
        )
        self.db.execute("alter table crm.complaints replica identity full")
        self.db.execute("create table crm.other (id int)")
        self.db.execute(f"create publication {PUBLICATION} for all tables")
        self.db.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))

    def clean(self) -> None:
        self.db.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", (SLOT,)
        )
        self.db.execute(f"drop publication if exists {PUBLICATION}")
        self.db.execute("drop schema if exists crm cascade")

    def does(self, *statements: str) -> None:
        """One transaction."""
        with self.db.transaction():
            for statement in statements:
                self.db.execute(statement)

    def take(self) -> int:
        return take_due(self.bank.catalog, self.bank.ledger)

    def land(self) -> list[Landed]:
        return self.bank.land()

    def fetched(self) -> list[tuple[Any, ...]]:
        """(op, id, amount, note) of each change that came."""
        self.take()
        return [
            (r["op"], r["complaint_id"], r["amount"], r["note"])
            for one in self.land()
            if one.state == "verified"
            for r in self.bank.rows(one)
        ]

    def kept_from(self) -> str:
        row = self.db.execute(
            "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = %s", (SLOT,)
        ).fetchone()
        assert row
        return str(row[0])

    def alerts(self) -> list[str]:
        with self.bank.ledger.begin() as db:
            return [a.message for a in batches.alerts(db)]


@pytest.fixture
def desk(bank: Bank, postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    url = f"postgresql://postgres:{secret(postgres, 'postgres_superuser')}@127.0.0.1:{postgres.postgres_port}/airflow"
    monkeypatch.setenv("LEDGERLAKE_SOURCE_CRM", url)
    made = Desk(bank, url)
    yield made
    made.clean()
    made.db.close()


def insert(number: int, note: str = "n") -> str:
    return f"insert into crm.complaints values ('c{number}', '13800138000', {number}.50, '{note}')"


def test_every_change_comes_once_and_in_order(desk: Desk) -> None:
    desk.does(insert(1), insert(2))
    assert desk.fetched() == [("I", "c1", "1.50", "n"), ("I", "c2", "2.50", "n")]
    assert desk.fetched() == []
    desk.does("update crm.complaints set amount = 9, note = null where complaint_id = 'c1'", insert(3))
    desk.does("delete from crm.complaints where complaint_id = 'c2'")
    assert desk.fetched() == [("U", "c1", "9.00", None), ("I", "c3", "3.50", "n"), ("D", "c2", "2.50", "n")]


def test_order_is_that_of_the_commits(desk: Desk) -> None:
    other = psycopg.connect(desk.db.info.dsn + f" password={desk.db.info.password}")
    other.execute(insert(1))  # begun first, committed last
    desk.does(insert(2))
    assert desk.fetched() == [("I", "c2", "2.50", "n")]
    other.commit()
    other.close()
    assert desk.fetched() == [("I", "c1", "1.50", "n")]


def test_what_was_rolled_back_and_other_tables_are_nothing(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), desk.db.transaction():
        desk.db.execute(insert(1))
        raise ZeroDivisionError
    desk.does("insert into crm.other values (1)")
    assert desk.take() == 0
    desk.does(insert(2), "insert into crm.other values (2)")
    assert desk.fetched() == [("I", "c2", "2.50", "n")]


def test_the_log_is_kept_until_its_slice_is_settled_and_no_longer(desk: Desk) -> None:
    desk.does(insert(1))
    before = desk.kept_from()
    assert desk.take() == 1
    assert desk.kept_from() == before
    desk.does(insert(2))
    assert desk.take() == 1  # the next slice, while the first waits
    assert [one.rows for one in desk.land()] == [1, 1]
    assert desk.kept_from() > before


def test_a_log_in_which_nothing_is_ours_is_passed_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_changes, "STRIDE", 1000)
    before = desk.kept_from()
    desk.does("insert into crm.other select generate_series(1, 1000)")
    assert desk.take() == 0
    passed = desk.kept_from()
    assert passed > before  # the server need not keep it until something of ours comes
    desk.does(insert(1))
    assert desk.fetched() == [("I", "c1", "1.50", "n")]
    assert desk.kept_from() > passed
    assert desk.alerts() == []


def test_a_run_that_another_overtook_takes_its_work_for_no_theft(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_changes, "STRIDE", 1000)
    desk.does("insert into crm.other select generate_series(1, 1000)")
    own = postgres_changes.Puller.spans

    def overtaken(puller: Any, taken: Any) -> Any:
        monkeypatch.setattr(postgres_changes.Puller, "spans", own)
        desk.take()  # moves the slot on
        return own(puller, taken)

    monkeypatch.setattr(postgres_changes.Puller, "spans", overtaken)
    assert (desk.take(), desk.alerts()) == (0, [])


def test_what_is_passed_over_is_kept_while_a_slice_before_it_waits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_changes, "STRIDE", 1000)
    desk.does(insert(1))
    assert desk.take() == 1
    before = desk.kept_from()
    desk.does("insert into crm.other select generate_series(1, 1000)")
    assert (desk.take(), desk.kept_from()) == (0, before)
    assert [one.rows for one in desk.land()] == [1]
    assert desk.kept_from() > before


@pytest.mark.parametrize("when", ["between slices", "while a slice waits"])
def test_changes_that_are_not_to_be_had_any_more_are_never_passed_over(desk: Desk, when: str) -> None:
    desk.does(insert(1))
    if when == "between slices":
        assert desk.fetched() == [("I", "c1", "1.50", "n")]
    else:
        desk.take()
    desk.db.execute("select pg_drop_replication_slot(%s)", (SLOT,))
    desk.does(insert(2))
    desk.db.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))
    desk.does(insert(3))
    assert desk.fetched() == []
    assert "are not to be had any more" in desk.alerts()[0] and "name a new slot" in desk.alerts()[0]


def test_another_reader_of_the_slot_is_found_out(desk: Desk) -> None:
    desk.does(insert(1))
    assert desk.fetched() == [("I", "c1", "1.50", "n")]
    desk.does(insert(2))
    desk.db.execute(
        "select count(*) from pg_logical_slot_get_binary_changes(%s, null, null, 'proto_version', '1', 'publication_names', %s)",
        (SLOT, PUBLICATION),
    )
    desk.does(insert(3))
    assert desk.fetched() == []
    assert "Somebody else moved the slot" in desk.alerts()[0]


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["alter publication ledgerlake set table crm.other"], "does not tell all of crm.complaints"),
        (["alter publication ledgerlake set (publish = 'insert')"], "does not tell all of crm.complaints"),
        (
            ["alter publication ledgerlake set table crm.complaints (complaint_id, phone, amount)"],
            "does not tell all of",
        ),
        (
            ["alter publication ledgerlake set table crm.complaints where (amount > 5)"],
            "does not tell all of crm.complaints",
        ),
        (["alter table crm.complaints replica identity default"], "REPLICA IDENTITY FULL"),
        (
            ["alter table crm.complaints rename column amount to sum"],
            "has no amount; it has complaint_id, phone, sum, note",
        ),
        (["alter table crm.complaints add column lsn text"], "has a column lsn, which is what we say of a change"),
    ],
)
def test_what_would_not_be_told_whole_is_said_and_nothing_moves_on(
    desk: Desk, statements: list[str], told: str
) -> None:
    desk.db.execute(f"drop publication {PUBLICATION}")
    desk.db.execute(f"create publication {PUBLICATION} for table crm.complaints")
    for statement in statements:
        desk.db.execute(statement)
    before = desk.kept_from()
    desk.db.execute("insert into crm.complaints (complaint_id, phone, note) values ('c1', '1', 'n')")
    assert (desk.take(), desk.kept_from()) == (0, before)
    assert told in desk.alerts()[0], desk.alerts()


def test_a_key_that_changes_takes_the_old_one_away(desk: Desk) -> None:
    desk.does(insert(1))
    desk.does("update crm.complaints set complaint_id = 'c9'")
    assert desk.fetched() == [("I", "c1", "1.50", "n"), ("D", "c1", "1.50", "n"), ("U", "c9", "1.50", "n")]


def test_changes_of_one_transaction_are_told_apart(desk: Desk) -> None:
    desk.does(insert(1), "update crm.complaints set amount = 2", "update crm.complaints set amount = 3")
    desk.take()
    [landed] = desk.land()
    assert [(r["seq"], r["amount"]) for r in desk.bank.rows(landed)] == [("1", "1.50"), ("2", "2.00"), ("3", "3.00")]


def test_a_slice_that_is_read_again_is_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Died

    desk.does(insert(1))
    desk.take()
    with monkeypatch.context() as patch:
        patch.setattr("jobs.arrival.outcomes.Outcomes.accept", die)
        with pytest.raises(Died):
            desk.land()
    desk.does(insert(2))
    [again] = desk.land()
    assert [r["complaint_id"] for r in desk.bank.rows(again)] == ["c1"]
    assert desk.fetched() == [("I", "c2", "2.50", "n")]


def test_with_whole_old_rows_it_comes_and_a_deletion_tells_them(desk: Desk) -> None:
    desk.db.execute("alter table crm.complaints alter column note set storage external, replica identity full")
    desk.does(insert(1, "x" * 20_000))
    desk.does("update crm.complaints set amount = 2 where complaint_id = 'c1'", "delete from crm.complaints")
    assert [(op, amount, len(note)) for op, _, amount, note in desk.fetched()] == [
        ("I", "1.50", 20_000),
        ("U", "2.00", 20_000),
        ("D", "2.00", 20_000),
    ]


def test_a_table_that_is_emptied_is_a_row_that_nobody_can_miss(desk: Desk) -> None:
    desk.does("truncate crm.complaints")
    assert desk.fetched() == [("T", None, None, None)]  # without a key: bronze rejects it, and opens a case


def test_identifiers_are_tokens_and_times_those_of_the_commit(desk: Desk) -> None:
    desk.does(insert(1))
    desk.take()
    [landed] = desk.land()
    [row] = desk.bank.rows(landed)
    assert row["phone_token"] and "phone" not in row
    assert row["committed_at"].endswith("+00:00") and "/" in row["lsn"]


def test_instants_are_written_as_bronze_reads_them(desk: Desk) -> None:
    desk.db.execute(
        "alter table crm.complaints add column at timestamptz, add column local timestamp, add column day date"
    )
    tables = desk.bank.catalog.tables
    more = {name: ["timestamp", PLAIN] for name in ("at", "local")} | {"day": ["date", PLAIN]}
    tables = tables | {"bronze.complaints": bronze("complaints", ["complaint_id", "lsn", "seq"], COLUMNS | more)}
    desk.bank = replace(desk.bank, catalog=replace(desk.bank.catalog, tables=tables))
    desk.does(
        "insert into crm.complaints values ('c1', null, null, null, '2026-09-15 08:00:00.5+08', '2026-09-15 08:00:00', '2026-09-15'), "
        "('c2', null, null, 'at +00', 'infinity', null, null)"
    )
    desk.take()
    [landed] = desk.land()
    assert [(r["at"], r["local"], r["day"], r["note"]) for r in desk.bank.rows(landed)] == [
        ("2026-09-15 00:00:00.5+00:00", "2026-09-15 08:00:00", "2026-09-15", None),
        ("infinity", None, None, "at +00"),
    ]


def test_a_slot_that_is_not_there_is_said_with_what_to_run(desk: Desk) -> None:
    desk.db.execute("select pg_drop_replication_slot(%s)", (SLOT,))
    assert desk.take() == 0
    assert f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')" in desk.alerts()[0]
