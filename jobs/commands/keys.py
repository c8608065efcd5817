"""pgp-key: what senders encrypt their files with."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    app.command("pgp-key", epilog="Example: ledgerlake pgp-key > ledgerlake.asc, and give the file to the sender")(
        pgp_key
    )


def pgp_key() -> None:
    """The bank's public OpenPGP key: for senders whose source says `files: {encrypted: pgp}`."""
    from jobs.privacy.pgp import public_key

    typer.echo(public_key().rstrip())
