"""Where a source is fetched from that nobody sends: a model a kind of origin."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from jobs.contracts.base import Strict


class PostgresTable(Strict):
    """Rows of a table that changed since the last look, by a column that grows with each change."""

    kind: Literal["postgres_table"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="its address is LEDGERLAKE_SOURCE_<NAME>")
    table: str = Field(description="schema.table")
    watermark: str = Field(
        description="a timestamptz or a whole number that each change makes larger, kept by the source"
    )
    every: int = Field(1440, gt=0, description="minutes between two looks")
    overlap: int = Field(
        60,
        ge=0,
        description="rows of so many seconds (or numbers) before the last look are read again: a transaction may commit late",
    )

    @field_validator("table")
    @classmethod
    def _qualified(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", value):
            raise ValueError(f"{value} is not schema.table in lower case")
        return value


class KafkaSecurity(Strict):
    """How the brokers know us, and we them. Names of connections stand for what no file of the repository holds."""

    protocol: Literal["SSL", "SASL_SSL", "SASL_PLAINTEXT"] = Field(
        description="of the brokers' listener; SASL_PLAINTEXT encrypts nothing"
    )
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] | None = Field(None, description="of SASL")
    user: str | None = Field(None, min_length=1, description="of SASL")
    secret: str | None = Field(
        None, pattern="^[a-z][a-z0-9_]*$", description="the password of SASL is LEDGERLAKE_SOURCE_<NAME>"
    )
    ca: str | None = Field(
        None,
        pattern="^[a-z][a-z0-9_]*$",
        description="whom the brokers' certificates must be issued by: LEDGERLAKE_SOURCE_<NAME> is a file of certificates (PEM); those the system trusts when empty",
    )

    @model_validator(mode="after")
    def _fits(self) -> KafkaSecurity:
        told = [name for name in ("mechanism", "user", "secret") if getattr(self, name) is not None]
        if self.protocol == "SSL" and told:
            raise ValueError(f"{', '.join(told)} belong to SASL: say protocol SASL_SSL, or leave them out")
        if self.protocol != "SSL" and len(told) < 3:
            raise ValueError(f"{self.protocol} needs mechanism, user and secret")
        if self.protocol == "SASL_PLAINTEXT" and self.ca is not None:
            raise ValueError("ca belongs to SSL: say protocol SASL_SSL, or leave it out")
        return self


class KafkaTopic(Strict):
    """Records of a topic, in slices of explicit offsets that the ledger keeps; no consumer group."""

    kind: Literal["kafka_topic"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="its brokers are LEDGERLAKE_SOURCE_<NAME>")
    topic: str
    most: int = Field(200_000, gt=0, description="records of one slice")
    security: KafkaSecurity | None = Field(None, description="for brokers that do not let everybody in")


class Webhook(Strict):
    """Events that a partner posts to us, one JSON object a request, signed with a secret that both know."""

    kind: Literal["webhook"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="the secret is LEDGERLAKE_SOURCE_<NAME>")
    event_id: str = Field(
        alias="eventId", description="the key of the object that says which event it is: the same twice is once"
    )
    most_bytes: int = Field(1 << 20, gt=0, alias="mostBytes", description="of one request")


class PostgresChanges(Strict):
    """Every change of a table, deletions too, in the order of their commits: PostgreSQL's logical replication.

    Beside the table's columns (as text) a change has `op` (I, U, D; T: the table was emptied), `lsn` and `committed_at` (of its commit) and `seq` (its
    place in the transaction)."""

    kind: Literal["postgres_changes"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="its address is LEDGERLAKE_SOURCE_<NAME>")
    table: str = Field(description="schema.table")
    slot: str = Field(
        pattern="^[a-z][a-z0-9_]*$", description="replication slot of the plug-in pgoutput, for this feed alone"
    )
    publication: str = Field(pattern="^[a-z][a-z0-9_]*$", description="publication that has the table")

    @field_validator("table")
    @classmethod
    def _qualified(cls, value: str) -> str:
        return PostgresTable._qualified(value)


Pull = Annotated[PostgresTable | PostgresChanges | KafkaTopic | Webhook, Field(discriminator="kind")]
