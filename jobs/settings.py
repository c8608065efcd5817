"""Where things are on this machine: one object, read from the environment (`LEDGERLAKE_*`) with defaults that just work.

What a *bank* is (zone, currency, calendar, due times) is not here but in its profile, `expectations/profiles/<name>.yaml`.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Paths, ports and addresses of one installation."""

    @field_validator("home", "expectations")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.resolve()

    model_config = SettingsConfigDict(env_prefix="LEDGERLAKE_", extra="ignore")

    home: Path = Field(PROJECT / ".local", description="state of the local services: databases, lake, logs, keys")
    expectations: Path = Field(PROJECT / "expectations", description="the contracts")
    profile: str = Field("demo", description="the bank this command speaks of")
    postgres_port: int = 15432
    spark_port: int = 15002
    airflow_port: int = 18080
    moto_port: int = 15000
    database_url: str | None = Field(None, description="the ledger's PostgreSQL; the embedded one when empty")
    spark_remote: str | None = Field(None, description="a Spark Connect URL (sc://...); the local server when empty")
    sftp_key: Path | None = Field(None, description="private key that an sftp:// inbox is shown")
    sftp_host_keys: Path | None = Field(None, description="known_hosts file with the host keys of sftp:// inboxes")
    s3_endpoint: str | None = Field(None, description="an S3-compatible endpoint; Amazon's own when empty")
    sqs_queue: str | None = Field(None, description="URL of the queue that announces objects of an s3:// inbox")
    sqs_endpoint: str | None = Field(None, description="where that queue answers; the S3 endpoint when empty")
    pgp_key_file: Path | None = Field(
        None, description="the bank's OpenPGP key pair; made at first use (mode 0600) when empty"
    )
    alert_webhook: str | None = Field(
        None, description="URL that alerts are posted to, as JSON with a `text` (chat programs take that)"
    )
    alert_email: str | None = Field(
        None, description="addresses that alerts are mailed to, with commas between; needs LEDGERLAKE_SMTP"
    )
    smtp: str | None = Field(None, description="smtp://[user:password@]host:port, or smtps://")
    alert_sender: str = Field("ledgerlake@localhost", description="whom mailed alerts come from")
    key_file: Path | None = Field(None, description="data keys; made at first start (mode 0600) when empty")

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def spark_url(self) -> str:
        return self.spark_remote or f"sc://127.0.0.1:{self.spark_port}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"

    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger's database. The password of the embedded server is in a file of mode 0600."""
        if self.database_url:
            return self.database_url
        password = (self.home / "secrets" / "postgres_ledgerlake").read_text().strip()
        return f"postgresql+psycopg://ledgerlake:{password}@127.0.0.1:{self.postgres_port}/ledgerlake"

    def bank(self, profile: str) -> Path:
        """Folder of one bank: lake, rows, raw bytes, inbox, reports."""
        return self.home / "banks" / profile

    def inboxes(self, profile: str) -> list[str]:
        """Where a bank's files come: the places of LEDGERLAKE_INBOX_<BANK> (s3://bucket/prefix, sftp://user@host:port/path or a folder; several with commas
        between), the folder `inbox` of the bank when it names none."""
        named = [place.strip() for place in os.environ.get(inbox_variable(profile), "").split(",")]
        return [place for place in named if place] or [str(self.bank(profile) / "inbox")]


def inbox_variable(profile: str) -> str:
    return f"LEDGERLAKE_INBOX_{re.sub('[^A-Z0-9]', '_', profile.upper())}"


@cache
def settings() -> Settings:
    return Settings()
