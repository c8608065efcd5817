"""Files that a sender packs into one, and encrypts for the bank where that is agreed."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Archive:
    """How an archive is named and packed. An encrypted one is an OpenPGP message for the bank's key."""

    pattern: str
    container: Literal["tar.gz", "zip"]
    is_encrypted: bool = False

    def pack(self, members: Iterable[tuple[str, bytes]]) -> bytes:
        """The archive in clear. No times are in it: equal content gives equal bytes."""
        out = io.BytesIO()
        if self.container == "zip":
            with zipfile.ZipFile(out, "w") as packed:
                for name, content in members:
                    packed.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
            return out.getvalue()
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as archive,
        ):
            for name, content in members:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return out.getvalue()


def for_the_bank(clear: bytes) -> bytes:
    """An OpenPGP message that only the bank can read: other bytes each time. All that the sender has is what `ledgerlake pgp-key` prints."""
    import pysequoia

    from jobs.privacy.pgp import public_key

    key = pysequoia.Cert.from_bytes(public_key().encode())
    return bytes(pysequoia.encrypt(clear, recipients=[key], armor=False))
