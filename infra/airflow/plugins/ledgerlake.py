"""What Ledgerlake adds to Airflow's API server."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from infra.airflow.webhooks import app


class Ledgerlake(AirflowPlugin):
    name = "ledgerlake"
    fastapi_apps = [{"app": app, "url_prefix": "/ledgerlake", "name": "Ledgerlake"}]  # noqa: RUF012 - Airflow's own form
