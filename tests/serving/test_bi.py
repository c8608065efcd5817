"""Each kind of reader logs in and tries to read, or do, more than it may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from jobs.contracts.catalog import Catalog
from jobs.ledger.database import Ledger
from jobs.serving import bi, mart
from jobs.serving.mart_schema import MartError
from jobs.settings import Settings
from tests.serving.conftest import branch, customer, kpi
from tests.serving.test_mart import frames

DAY, NEXT = date(2026, 9, 15), date(2026, 9, 16)
Login = Callable[..., psycopg.Connection]


@pytest.fixture
def bank(ledger: Ledger, catalog: Catalog, released: Callable[..., int]) -> Ledger:
    """Two provinces, three branches; the figure of the bank was restated once."""
    first = [
        kpi(DAY, "0.48"),
        kpi(DAY, "0.40", province="11"),
        kpi(DAY, "0.56", province="37"),
        kpi(DAY, "0.44", province="37", branch="b03"),
    ]
    customers = [customer("p1", DAY, "11", note="1"), customer("p2", DAY, "37", note="SECRET OF 37")]
    branches = [branch("b01", "11"), branch("b02", "11"), branch("b03", "37")]
    mart.publish(
        ledger,
        catalog,
        released(DAY),
        frames(first, customers, branches, [{"product_id": "fund", "as_of_date": DAY}]),
        "r",
    )
    mart.publish(
        ledger,
        catalog,
        released(DAY, version=2),
        frames([kpi(DAY, "0.50", release="r2", no=1)], customers, branches),
        "r",
    )
    return ledger


@pytest.fixture
def login(bank: Ledger, postgres: Settings) -> Callable[..., psycopg.Connection]:
    opened = []

    def log_in(kind: str, value: str | None = None) -> psycopg.Connection:
        name = f"{bank.profile}_{kind}_{value or 'all'}"
        password = bi.create_bi_user(bank, name, kind, value)
        address = {"host": "127.0.0.1", "port": postgres.postgres_port, "dbname": "ledgerlake"}
        opened.append(psycopg.connect(user=name, password=password, autocommit=True, **address))
        return opened[-1]

    yield log_in
    for connection in opened:
        connection.close()


def seen(connection: psycopg.Connection, query: str) -> list:
    return [row[0] for row in connection.execute(query).fetchall()]


def test_a_group_reader_sees_all_rows(login: Login) -> None:
    reader = login("group")
    assert seen(reader, "select branch_id from branches order by 1") == ["b01", "b02", "b03"]
    assert seen(reader, "select party_id from customer_360_daily order by 1") == ["p1", "p2"]
    assert seen(reader, "select release_id from releases order by 1") == [1, 2]


def test_a_province_reader_sees_its_province(login: Login) -> None:
    reader = login("province", "11")
    assert seen(reader, "select branch_id from branches order by 1") == ["b01", "b02"]
    assert seen(reader, "select party_id from customer_360_daily") == ["p1"]
    assert seen(reader, "select value::text from kpi_values") == ["0.400000"], (
        "neither the bank's figure nor the other province's"
    )
    assert seen(reader, "select party_id from customer_360_daily where province_code = '37'") == []
    assert seen(reader, "select product_id from product_sums") == [], (
        "a table without scope columns is for group readers"
    )


def test_a_branch_reader_sees_its_branch(login: Login) -> None:
    reader = login("branch", "b03")
    assert seen(reader, "select branch_id from branches") == ["b03"]
    assert seen(reader, "select value::text from kpi_values") == ["0.440000"]
    assert seen(reader, "select party_id from customer_360_daily") == [], "which has a province only"


def test_a_reader_may_have_several_scopes(bank: Ledger, login: Login) -> None:
    reader = login("branch", "b01")
    bi.add_scope(bank, f"{bank.profile}_branch_b01", "province", "37")
    assert seen(reader, "select branch_id from branches order by 1") == ["b01", "b03"]


def test_a_login_without_scope_sees_nothing(bank: Ledger, login: Login) -> None:
    reader = login("branch", "b01")
    with bank.begin() as db:
        db.execute(text(f"delete from {bank.profile}_mart.role_scopes"))
    assert seen(reader, "select branch_id from branches") == []


def test_only_the_newest_statement_counts_and_all_can_be_read(login: Login) -> None:
    reader = login("group")
    total = "where province_code is null and branch_id is null order by restatement_no"
    assert seen(reader, f"select value::text from kpi_values {total}") == ["0.500000"]
    assert seen(reader, f"select value::text from kpi_values_history {total}") == ["0.480000", "0.500000"]


def test_what_names_a_person_is_masked_for_everyone(login: Login) -> None:
    row = (
        login("group")
        .execute("select account_no, birth_date, gender, balance::text from customer_360_daily where party_id = 'p1'")
        .fetchone()
    )
    assert row == ("****0001", date(1980, 1, 1), "F", "10.00")


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from {m}.customer_360_daily",
        "select * from {m}.role_scopes",
        "select * from {m}.publications",
        "select * from {l}.releases",
        "select * from {l}.deliveries",
        "insert into {m}.role_scopes values (current_user, 'group', '*')",
        "update {b}.branches set province_code = '11'",
        "delete from {b}.branches",
        "insert into {b}.branches (branch_id, province_code) values ('b99', '11')",
        "truncate {m}.branches",
        "create table {b}.mine (a int)",
        "create temporary table mine (a int)",
        "create schema mine",
        "create view {b}.mine as select 1",
        "create function {b}.leak(text) returns boolean language sql as 'select true'",
        "create or replace view {b}.branches as select 1",
        "drop view {b}.branches",
        "alter view {b}.branches set (security_barrier = false)",
        "alter role {me} createrole",
        "create role another login",
        "set role {b}_reader_of_all",
        "set role ledgerlake",
        "set session authorization ledgerlake",
        "copy {b}.branches to '/tmp/stolen.csv'",
        "select pg_read_file('postgresql.conf')",
        "select rolpassword from pg_authid",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ledgerlake'",
    ],
)
def test_what_a_reader_may_not_do(bank: Ledger, login: Login, attempt: str) -> None:
    reader = login("province", "11")
    reader.execute("set default_transaction_read_only = off")  # a courtesy setting, which anyone may take back
    with bank.engine.connect():  # a session of the ledger's user is there to be ended
        m, b = mart.schemas(bank.profile)
        statement = attempt.format(m=m, b=b, l=bank.schema, me=f"{bank.profile}_province_11")
        with pytest.raises(psycopg.Error) as refused:
            reader.execute(statement).fetchall()
    # 42501 insufficient privilege, 22023 no such role, 55000 the view takes no rows.
    assert refused.value.sqlstate in ("42501", "22023", "55000"), refused.value
    assert seen(reader, "select branch_id from branches order by 1") == ["b01", "b02"]


def test_a_reader_is_read_only_from_the_start(login: Login) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        login("group").execute("create table x (a int)")


def test_another_bank_and_another_database_are_closed(bank: Ledger, login: Login, postgres: Settings) -> None:
    reader = login("group")
    with bank.begin() as db:
        db.execute(text("create schema if not exists other_bi"))
        db.execute(text("create table if not exists other_bi.branches (branch_id text)"))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("select * from other_bi.branches")
    password = bi.create_bi_user(bank, f"{bank.profile}_group_all", "group")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(
            host="127.0.0.1",
            port=postgres.postgres_port,
            user=f"{bank.profile}_group_all",
            password=password,
            dbname="airflow",
        )


LEAKY = "select count(*) from {b}.customer_360_daily where note::int = 1"


def test_a_predicate_that_tells_what_it_sees_sees_only_the_scope(bank: Ledger, login: Login) -> None:
    """A cast names the value it fails on in its error: pushed below the scope, it would tell of other provinces'
    rows."""
    reader, b = login("province", "11"), mart.schemas(bank.profile)[1]
    assert seen(reader, LEAKY.format(b=b)) == [1]
    with bank.begin() as db:  # the control: without the barrier the same query does leak
        db.execute(text(f"alter view {b}.customer_360_daily set (security_barrier = false)"))
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="SECRET OF 37"):
        reader.execute(LEAKY.format(b=b))


def test_names_and_scopes_that_say_nothing_are_refused(bank: Ledger) -> None:
    for name, kind, value, why in (
        ("Robert'); drop", "group", None, "cannot name a BI user"),
        ("ledgerlake", "group", None, "not a BI user"),
        (bi.reader_role(bank.profile), "group", None, "not a BI user"),
        ("reader_x", "planet", None, "not a scope"),
        ("reader_x", "province", None, "need the one"),
        ("reader_x", "group", "11", "takes no value"),
    ):
        with pytest.raises(MartError, match=why):
            bi.create_bi_user(bank, name, kind, value)


def test_a_user_before_the_mart_gets_a_clear_answer(ledger: Ledger) -> None:
    with pytest.raises(MartError, match="does not exist yet"):
        bi.create_bi_user(ledger, "too_early", "group")


def test_a_dropped_user_cannot_come_back(bank: Ledger, login: Login, postgres: Settings) -> None:
    login("branch", "b01").close()
    name = f"{bank.profile}_branch_b01"
    bi.drop_bi_user(bank, name)
    bi.drop_bi_user(bank, name)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=postgres.postgres_port, user=name, password="x", dbname="ledgerlake")


def test_the_psql_line_works_and_hides_the_password(bank: Ledger, passwords: Path) -> None:
    login = bi.bi_login(bank, f"{bank.profile}_manager", "group", None, passwords)
    password = login.passfile.read_text().strip().rsplit(":", 1)[1]
    assert login.passfile.stat().st_mode & 0o777 == 0o600
    assert password not in login.psql
    assert login.psql.startswith("psql postgresql://") or login.psql.startswith("psql 'postgresql://")
    with psycopg.connect(login.url) as connection:
        assert seen(connection, "select count(*) from kpi_values") == [4]
    assert bi.bi_login(bank, login.user, "group", None, passwords).passfile.read_text().strip().endswith(password), (
        "asked again: the same"
    )
    login.passfile.unlink()
    with psycopg.connect(bi.bi_login(bank, login.user, "group", None, passwords).url) as connection:
        assert seen(connection, "select 1") == [1]


def test_a_reader_cannot_hand_its_rights_on(bank: Ledger, login: Login) -> None:
    reader, b = login("group"), mart.schemas(bank.profile)[1]
    reader.execute("set default_transaction_read_only = off")
    reader.execute(f"grant select on {b}.branches to public")  # PostgreSQL only warns that nothing was granted
    assert seen(
        reader,
        f"select count(*) from pg_class, aclexplode(relacl) a where oid = '{b}.branches'::regclass and a.grantee = 0",
    ) == [0]
