"""The four Airflow services on the embedded PostgreSQL, tuned for a small machine and short tasks."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local import demo_crm, postgres
from infra.local.component import Component, base_environment
from infra.local.secrets import secret
from jobs.settings import PROJECT, Settings

# Two who may act: what one proposes at the quarantine bench the other approves.
USERS = {"admin": "admin", "steward": "user", "viewer": "viewer"}
"""User -> Airflow role. Named users, so that every approval has a name."""

PARALLELISM = 4
DATABASE = "airflow-database"
HEARTBEATS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
PATIENCE_WITH_HEARTBEAT = timedelta(seconds=30)


def airflow_env(settings: Settings) -> dict[str, str]:
    """The environment in which every Airflow process of this installation runs, the `airflow` command too."""
    password = secret(settings, "postgres_airflow")
    database = f"://airflow:{password}@127.0.0.1:{settings.postgres_port}/airflow"
    logs = settings.logs / "airflow"
    options: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": PROJECT / "dags",
            "plugins_folder": PROJECT / "infra" / "airflow" / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": PARALLELISM,  # tasks are bound by the CPU
            "dags_are_paused_at_creation": False,  # events to a paused DAG are lost
            "execution_api_server_url": f"{settings.airflow_url}/execution/",
            "fernet_key": secret(settings, "airflow_fernet", _fernet_key),
            "hostname_callable": "socket.gethostname",  # the default asks the DNS, and waits where there is none
            "simple_auth_manager_users": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "simple_auth_manager_passwords_file": passwords_file(settings),
        },
        "database": {
            "sql_alchemy_conn": f"postgresql+psycopg2{database}",
            "sql_alchemy_conn_async": f"postgresql+asyncpg{database}",
        },
        "api": {
            "host": "127.0.0.1",
            "port": settings.airflow_port,
            "base_url": settings.airflow_url,
            "workers": 1,
            "secret_key": secret(settings, "airflow_api"),
        },
        "api_auth": {"jwt_secret": secret(settings, "airflow_jwt", lambda: secrets.token_urlsafe(64))},
        # A task of a killed scheduler runs again after 11 s (by default: minutes). The threshold stays well above the
        # heartbeat, or the scheduler takes its own tasks for orphans.
        "scheduler": {
            "scheduler_idle_sleep_time": 0.25,
            "scheduler_heartbeat_sec": 1,
            "scheduler_health_check_threshold": 10,
            "orphaned_tasks_check_interval": 5,
            "task_instance_heartbeat_timeout": 15,
        },
        "workers": {"min_heartbeat_interval": 1},
        "triggerer": {
            "job_heartbeat_sec": 2,
            "triggerer_health_check_threshold": 12,
        },  # triggers of a killed one move after 12 s
        "dag_processor": {"min_file_process_interval": 60, "refresh_interval": 30, "parsing_processes": 1},
        "logging": {
            "base_log_folder": logs,
            "dag_processor_child_process_log_directory": logs / "dag_processor",
            "colored_console_log": False,
        },
        "usage_data_collection": {"enabled": False},
    }
    tuned = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, entries in options.items()
        for name, value in entries.items()
    }
    return {
        **demo_crm.environment(settings),
        **base_environment(settings),
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        "PYSPARK_PYTHON": sys.executable,
        "MALLOC_ARENA_MAX": "2",  # fewer half-empty heaps in processes with many threads
        **tuned,
    }


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def passwords_file(settings: Settings) -> Path:
    return settings.home / "airflow" / "simple_auth_manager_passwords.json.generated"


def prepare(settings: Settings) -> None:
    """Writes the users' passwords where Airflow looks for them, unless it finds them already."""
    path = passwords_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = json.loads(path.read_text()) if path.exists() else {}
    wanted = {user: known.get(user) or secrets.token_urlsafe(12) for user in USERS}
    if wanted != known:
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(wanted, file)
        draft.replace(path)


def logins(settings: Settings) -> dict[str, str]:
    """User -> password of Airflow's pages; empty before the first start."""
    path = passwords_file(settings)
    return json.loads(path.read_text()) if path.exists() else {}


def components(settings: Settings) -> list[Component]:
    def command(*words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "airflow", *words)

    def beating(name: str, command: tuple[str, ...], patience: float) -> Component:
        return Component(
            name=f"airflow-{name}",
            command=command,
            patience=patience,
            environment=lambda: airflow_env(settings),
            needs=("postgres", DATABASE),
            healthy=lambda since: beats(settings, HEARTBEATS[name], since),
        )

    return [
        Component(
            name=DATABASE,
            command=command("db", "migrate"),
            environment=lambda: airflow_env(settings),
            needs=("postgres",),
            once=True,
            prepare=lambda: prepare(settings),
            needed=lambda: _migrated_for(settings) != version("apache-airflow"),
            settle=lambda: _note_migration(settings),
        ),
        Component(
            name="airflow-api-server",
            command=command("api-server"),
            environment=lambda: airflow_env(settings),
            needs=("postgres", DATABASE),
            healthy=lambda since: _answers(settings.airflow_port),
            port=settings.airflow_port,
            port_setting="LEDGERLAKE_AIRFLOW_PORT",
            prepare=lambda: prepare(settings),
        ),
        beating("scheduler", (sys.executable, "-m", "infra.airflow.scheduler", "--skip-serve-logs"), patience=16),
        beating("dag-processor", command("dag-processor"), patience=6),
        beating("triggerer", command("triggerer", "--skip-serve-logs"), patience=4),
    ]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/api/v2/monitor/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def beats(settings: Settings, job_type: str, since: float) -> bool:
    """Whether an Airflow job of this type that started after `since` has lately sent its heartbeat. Asked of the
    database, not of the API server, whose death would otherwise look like everybody's; and only of this start, for a
    killed job looks well for a while.
    """
    oldest = datetime.now(UTC) - PATIENCE_WITH_HEARTBEAT
    query = (
        "select 1 from job where job_type = %s and state = 'running' "
        "and start_date >= %s and latest_heartbeat >= %s limit 1"
    )
    try:
        with postgres.connect(settings, "airflow") as connection:
            return (
                connection.execute(query, (job_type, datetime.fromtimestamp(since, UTC), oldest)).fetchone() is not None
            )
    except psycopg.OperationalError:
        return False


def _migrated_for(settings: Settings) -> str | None:
    """The Airflow version that last migrated the database: kept as the database's comment, so that it cannot outlive
    it.
    """
    query = "select shobj_description(oid, 'pg_database') from pg_database where datname = 'airflow'"
    with postgres.connect(settings) as connection:
        row = connection.execute(query).fetchone()
    return row[0].removeprefix("migrated by Airflow ") if row and row[0] else None


def _note_migration(settings: Settings) -> None:
    with postgres.connect(settings) as connection:
        note = sql.Literal(f"migrated by Airflow {version('apache-airflow')}")
        connection.execute(sql.SQL("comment on database airflow is {}").format(note))
