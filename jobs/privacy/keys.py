"""The keys of one installation: made at first start, kept in one file that only its owner can read, or wrapped by a
KMS.

Four purposes, four keys, so that losing or rotating one says nothing about the others:

- `data`: seals raw files and the vault's clear values (AES-256-GCM);
- `lookup`: finds the token of a value (HMAC); rotates, so it is a list and the current one is named;
- `party`: makes the opaque id of a bank's own customer number (HMAC); never rotates, because facts join on it;
- `tombstone`: recognises an erased person who arrives again (HMAC).
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from jobs.settings import settings

SIZE = 32  # bytes of each key
SINGLE = ("party", "tombstone")
ROTATING = ("data", "lookup")


class KeysUnavailable(Exception):
    """The key file is missing its rights, damaged or cannot be unwrapped; the message says which and what to do."""


class KeyWrap(Protocol):
    """Whoever encrypts the keys at rest. `name` is written into the file, so that the right one is asked to open it."""

    name: str

    def wrap(self, key: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes) -> bytes: ...


class KmsWrap:
    """AWS KMS: the file holds ciphertexts that only a caller with the right to use `key_id` can open."""

    def __init__(self, key_id: str, client: Any = None):
        import boto3

        self.name = f"kms:{key_id}"
        self.key_id = key_id
        self.client = client or boto3.client("kms")

    def wrap(self, key: bytes) -> bytes:
        return self.client.encrypt(KeyId=self.key_id, Plaintext=key)["CiphertextBlob"]

    def unwrap(self, wrapped: bytes) -> bytes:
        return self.client.decrypt(KeyId=self.key_id, CiphertextBlob=wrapped)["Plaintext"]


@dataclass(frozen=True)
class Keys:
    """All keys, opened. Never printed: the representation names key ids only."""

    data_id: str
    lookup_id: str
    data: dict[str, bytes] = field(repr=False)
    lookup: dict[str, bytes] = field(repr=False)
    party: bytes = field(repr=False)
    tombstone: bytes = field(repr=False)

    def lookup_hash(self, kind: str, value: str, key_id: str) -> bytes:
        """32 bytes by which the vault finds a value of a kind without knowing it."""
        return hmac.digest(self.lookup[key_id], f"{kind}\0{value}".encode(), sha256)

    def party_id(self, system: str, customer_no: str) -> str:
        """The opaque id (32 hex digits) of a source's customer number: the same for ever, and not to be reversed
        without the key.
        """
        return hmac.digest(self.party, f"{system}:{customer_no}".encode(), sha256).hex()[:32]

    def tombstone_hash(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.tombstone, f"{kind}\0{value}".encode(), sha256)

    def __reduce__(self) -> Any:
        raise TypeError("Keys cannot be pickled: they would leave the process. Load them where they are needed.")


def key_path() -> Path:
    return settings().key_file or settings().home / "secrets" / "keys.json"


def load_keys(path: Path | None = None, wrap: KeyWrap | None = None) -> Keys:
    """The keys in `path`, made there when the file does not exist. Safe when two processes start at once.

    Raises KeysUnavailable when others may read the file, or when it is damaged: a new file would make old tokens and
    raw files unreadable, so that is never done silently.
    """
    path = path or key_path()
    if not path.exists():
        _create(path, _fresh(), wrap)
    return _read(path, wrap)


def rotate_lookup(path: Path | None = None, wrap: KeyWrap | None = None) -> Keys:
    """Adds a lookup key and makes it the current one; the former ones stay readable. The vault re-hashes its lookups
    afterwards.
    """
    path = path or key_path()
    keys = _read(path, wrap)
    number = max(int(name.removeprefix("lookup-")) for name in keys.lookup) + 1
    name = f"lookup-{number}"
    rotated = replace(keys, lookup_id=name, lookup={**keys.lookup, name: secrets.token_bytes(SIZE)})
    draft = _draft(path, rotated, wrap)
    draft.replace(path)
    return rotated


def _fresh() -> Keys:
    return Keys(
        data_id="data-1",
        lookup_id="lookup-1",
        data={"data-1": secrets.token_bytes(SIZE)},
        lookup={"lookup-1": secrets.token_bytes(SIZE)},
        party=secrets.token_bytes(SIZE),
        tombstone=secrets.token_bytes(SIZE),
    )


def _create(path: Path, keys: Keys, wrap: KeyWrap | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _draft(path, keys, wrap)
    try:
        os.link(draft, path)  # unlike a rename, this fails when another process was first: its keys stand
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _draft(path: Path, keys: Keys, wrap: KeyWrap | None) -> Path:
    """The whole file under another name, on the disk, so that the key file itself is never half written."""

    def shut(key: bytes) -> str:
        return base64.b64encode(wrap.wrap(key) if wrap else key).decode()

    content = {
        "wrapped_by": wrap.name if wrap else None,
        "current": {"data": keys.data_id, "lookup": keys.lookup_id},
        "data": {name: shut(key) for name, key in keys.data.items()},
        "lookup": {name: shut(key) for name, key in keys.lookup.items()},
        "party": shut(keys.party),
        "tombstone": shut(keys.tombstone),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _read(path: Path, wrap: KeyWrap | None) -> Keys:
    restore = "Restore it from your backup: without it the vault and the raw files cannot be read."
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeysUnavailable(f"The key file {path} may be read by others (mode {mode:o}). Run: chmod 600 {path}")
    try:
        content = json.loads(path.read_text())
        opened = _opener(content["wrapped_by"], wrap, path)
        return Keys(
            data_id=content["current"]["data"],
            lookup_id=content["current"]["lookup"],
            data={name: opened(text) for name, text in content["data"].items()},
            lookup={name: opened(text) for name, text in content["lookup"].items()},
            party=opened(content["party"]),
            tombstone=opened(content["tombstone"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise KeysUnavailable(f"The key file {path} is damaged ({type(error).__name__}). {restore}") from error


def _opener(wrapped_by: str | None, wrap: KeyWrap | None, path: Path) -> Callable[[str], bytes]:
    if wrapped_by is None:
        return lambda text: base64.b64decode(text, validate=True)
    if wrap is None and wrapped_by.startswith("kms:"):
        wrap = KmsWrap(wrapped_by.removeprefix("kms:"))
    if wrap is None or wrap.name != wrapped_by:
        raise KeysUnavailable(f"The keys in {path} are wrapped by {wrapped_by}; start with that key service.")
    asked = wrap
    return lambda text: asked.unwrap(base64.b64decode(text, validate=True))
