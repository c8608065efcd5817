"""What the five DAGs share: names, assets, and the doorbell that wakes `landing`.

An event is a doorbell only: it says "look", and the task compares inbox and ledger. A lost, merged or doubled ring
costs seconds, never a file. Imports neither pyspark nor great_expectations: this module is read whenever a DAG file is
parsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import Asset, AssetWatcher, get_parsing_context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from jobs.contracts import load, served

MAIN_PROFILE = "demo"


def banks(name: str) -> list[str]:
    """Profiles for which a DAG is to be made. The process of a task reads its DAG's file once more, and makes that one DAG only."""
    wanted = get_parsing_context().dag_id
    return [p for p in served() if wanted in (None, dag_id(p, name))]


def dag_id(profile: str, name: str) -> str:
    """The main bank's DAGs bear the plain names; another bank's begin with its own."""
    return name if profile == MAIN_PROFILE else f"{profile}_{name}"


def inbox(profile: str) -> Asset:
    """Rings while files wait in the bank's inbox."""
    watcher = AssetWatcher(name=f"{profile}_doorbell", trigger=InboxDoorbell(profile=profile))
    return Asset(f"{profile}_inbox", watchers=[watcher])


def verified(profile: str) -> Asset:
    """Partition `feed|wave`: deliveries of a feed are verified and wait for bronze."""
    return Asset(f"{profile}_verified")


def days(profile: str) -> Asset:
    """Partition `date|vN`: a business day is to be built, or built again."""
    return Asset(f"{profile}_days")


def alerts(profile: str) -> Asset:
    """An event for what a person should know; its extra lists the alerts. Whoever wants more than webhook and e-mail schedules a DAG on it."""
    return Asset(f"{profile}_alerts")


def run_of(context: Any) -> str:
    """How the ledger names an Airflow run: `dag_id/run_id`."""
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


def ring(event: Any, keys: list[str]) -> None:
    """Tell an asset's consumers these partitions, the first of them first; with none to tell the task is skipped.

    A task that succeeds without naming a partition would pass on its own run's key, and wake a consumer for a key that is none of its.
    """
    if not keys:
        raise AirflowSkipException("Nothing to ring for.")
    # What Airflow's own `add_partitions` fills is a set: it would wake consumers in whatever order that has.
    event.partition_keys = dict.fromkeys(keys)


class InboxDoorbell(BaseEventTrigger):
    """Level-triggered: rings when files arrive that were not there at the last look, and again every `again` seconds
    while any wait.
    """

    def __init__(self, *, profile: str, poll: float = 0.5, again: float = 20.0):
        super().__init__()
        self.profile, self.poll, self.again = profile, poll, again

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return ("infra.airflow.bells.InboxDoorbell", {"profile": self.profile, "poll": self.poll, "again": self.again})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from jobs.arrival.doorbell import waiting_count
        from jobs.arrival.inbox import inbox_of
        from jobs.ledger import connect

        catalog = load(self.profile)
        box = inbox_of(catalog, lambda: connect(self.profile))
        before, rung_at = 0, 0.0
        while True:
            waiting = await asyncio.to_thread(waiting_count, catalog, box)
            if waiting and (waiting != before or time.monotonic() - rung_at > self.again):
                rung_at = time.monotonic()
                yield TriggerEvent({"waiting": waiting})
            before = waiting
            await asyncio.sleep(self.poll)
