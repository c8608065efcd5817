"""The migrations make exactly the tables that the models describe."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from jobs.ledger import Ledger, LedgerUnavailable, batches, connect, deliveries
from jobs.ledger.database import MIGRATIONS
from jobs.ledger.models import Base
from jobs.settings import settings

NUMBERS = itertools.count(1)


@pytest.fixture
def fresh(installation: Path) -> Iterator[Ledger]:
    """A ledger that was just made by the migrations."""
    made = connect(f"fresh{next(NUMBERS)}")
    made.migrate()
    yield made
    made.engine.dispose()
    connect.cache_clear()


def differences(ledger: Ledger) -> list[object]:
    options = {"include_name": lambda name, kind, _: name != "schema_version", "compare_type": True}
    with ledger.begin() as db:
        return compare_metadata(MigrationContext.configure(db, opts=options), Base.metadata)


def test_the_migrations_make_what_the_models_say(fresh: Ledger) -> None:
    assert differences(fresh) == []


def test_a_missing_index_would_be_found(fresh: Ledger) -> None:
    with fresh.begin() as db:
        db.execute(text("drop index deliveries_lane"))
    assert "add_index" in str(differences(fresh))


def test_the_sequences_are_there(fresh: Ledger) -> None:
    with fresh.begin() as db:
        assert {"delivery_numbers", "wave_numbers", "alert_numbers"} <= set(inspect(db).get_sequence_names())


def test_migrating_twice_changes_nothing(fresh: Ledger) -> None:
    fresh.migrate()
    assert differences(fresh) == []


def test_two_first_starts_at_once_both_end_well(installation: Path, both: Callable[..., list[object]]) -> None:
    new = connect("two_at_once")
    both(new.migrate, new.migrate)
    assert differences(new) == []
    with new.begin() as db:
        assert db.execute(text("select count(*) from schema_version")).scalar_one() == 1
    new.engine.dispose()


def test_two_banks_live_side_by_side(fresh: Ledger) -> None:
    other = connect("another")
    other.migrate()
    with fresh.begin() as db:
        deliveries.next_wave(db)
    with other.begin() as db:
        assert deliveries.next_wave(db) == 1
    other.engine.dispose()


def test_a_database_that_does_not_answer_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERLAKE_DATABASE_URL", "postgresql+psycopg://ledgerlake:secret@127.0.0.1:9/ledgerlake")
    settings.cache_clear()
    connect.cache_clear()
    try:
        with (
            pytest.raises(LedgerUnavailable, match=r"does not answer at .*127.0.0.1:9.*ledgerlake up") as error,
            connect("demo").begin(),
        ):
            pass
        assert "secret" not in str(error.value)
    finally:
        settings.cache_clear()
        connect.cache_clear()


def test_an_installation_without_a_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERLAKE_HOME", str(tmp_path))
    monkeypatch.delenv("LEDGERLAKE_DATABASE_URL", raising=False)
    settings.cache_clear()
    connect.cache_clear()
    try:
        with pytest.raises(LedgerUnavailable, match=r"There is no local database yet.*ledgerlake up"):
            connect("demo")
    finally:
        settings.cache_clear()
        connect.cache_clear()


def test_a_connection_that_breaks_in_the_middle_is_told_and_the_next_one_works(fresh: Ledger) -> None:
    with pytest.raises(LedgerUnavailable, match="does not answer"), fresh.begin() as db:
        own = db.execute(text("select pg_backend_pid()")).scalar_one()
        with fresh.begin() as other:
            other.execute(text("select pg_terminate_backend(:p)"), {"p": own})
        db.execute(text("select 1"))
    with fresh.begin() as db:
        assert db.execute(text("select 1")).scalar_one() == 1


def test_alerts_of_before_get_their_numbers_in_the_order_in_which_they_were_told(fresh: Ledger) -> None:
    with fresh.begin() as db:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes |= {"connection": db, "schema": fresh.schema}
        command.downgrade(config, "0011")
        for key, kind, day in (("b", "rule", 2), ("a", "rule", 3), ("ring", "once", 1), ("c", "rule", 1)):
            insert = "insert into alerts (alert_key, kind, message, raised_at) values (:key, :kind, '', :at)"
            db.execute(text(insert), {"key": key, "kind": kind, "at": datetime(2026, 9, day, tzinfo=UTC)})
    fresh.migrate()
    with fresh.begin() as db:
        assert batches.alert(db, "new", "rule", "m")
        told = db.execute(text("select alert_key, number from alerts order by number nulls last"))
        assert [tuple(row) for row in told] == [("c", 1), ("b", 2), ("a", 3), ("new", 4), ("ring", None)]
