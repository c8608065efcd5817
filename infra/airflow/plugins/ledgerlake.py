"""What Ledgerlake adds to Airflow's API server: the endpoint for partners' webhooks, and pages."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from infra.airflow import pages, webhooks
from infra.airflow.pages import board, quarantine  # noqa: F401 - their routes

# What is no page is looked for there.
pages.app.mount("/", webhooks.app)


class Ledgerlake(AirflowPlugin):
    name = "ledgerlake"
    fastapi_apps = [{"app": pages.app, "url_prefix": pages.PREFIX, "name": "Ledgerlake"}]  # noqa: RUF012 - Airflow's own form
    external_views = pages.external_views()
