"""Files that senders encrypt with OpenPGP. The bank has one key pair; senders have its public half (`ledgerlake pgp-key`).

The clear bytes never lie on a disk: they pass through pipes and are sealed again under the installation's own key.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jobs.bursting import RATIO, bursts
from jobs.privacy.keys import Keys, KeysUnavailable
from jobs.privacy.seal import SealedWriter, open_sealed
from jobs.settings import settings

PIECE = 1 << 20


class NotForUs(Exception):
    """The file is no OpenPGP message, is cut, or was not encrypted for the bank's key. The message says which."""


def key_file() -> Path:
    return settings().pgp_key_file or settings().home / "secrets" / "pgp.asc"


def public_key() -> str:
    """The armoured public key that senders encrypt with. The pair is made at first use. Raises KeysUnavailable."""
    import pysequoia

    return str(pysequoia.Tsk.from_bytes(_secret()).extract_certificate())


@contextmanager
def clear(encrypted: BinaryIO, draft: Path, keys: Keys) -> Iterator[BinaryIO]:
    """The clear bytes of a message, seekable; sealed in `draft` while they are used. Raises NotForUs."""
    try:
        packed = encrypted.seek(0, 2)
        encrypted.seek(0)
        size = 0
        with SealedWriter(draft, keys) as seal, closing(_decrypted(encrypted)) as pieces:
            for piece in pieces:
                size += len(piece)
                if bursts(packed, size):
                    raise NotForUs(
                        f"{packed} encrypted bytes become {size} and more, above {RATIO} to 1: ask the sender what this is"
                    )
                seal.write(piece)
        with open_sealed(draft, keys) as stream:
            yield stream
    finally:
        draft.unlink(missing_ok=True)


def _decrypted(encrypted: BinaryIO) -> Generator[bytes, None, None]:
    """Pieces of the clear text, as they come out of a process of its own."""
    _secret()
    command = [sys.executable, str(Path(__file__).with_name("pgp_decrypt.py")), str(key_file())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        unread: list[BaseException] = []

        def feed(into: BinaryIO) -> None:
            # A message that is refused early is not read to its end.
            with suppress(BrokenPipeError), into:
                try:
                    while piece := encrypted.read(PIECE):
                        into.write(piece)
                except BrokenPipeError:
                    raise
                except BaseException as error:
                    unread.append(error)

        feeding = threading.Thread(target=feed, args=(process.stdin,), daemon=True)
        feeding.start()
        try:
            while piece := process.stdout.read(PIECE):
                yield piece
        except BaseException:
            process.kill()
            raise
        finally:
            feeding.join()
        why = process.stderr.read().decode(errors="replace").strip()
        status = process.wait()
    if unread:
        raise unread[0]
    if status:
        raise NotForUs(why or f"the decrypting process ended with status {status}")


def _secret() -> bytes:
    """The armoured pair, made at first use; safe when two processes start at once."""
    path = key_file()
    try:
        if path.stat().st_mode & 0o077:
            raise KeysUnavailable(
                f"The PGP key {path} can be read by others. Take their rights away: chmod 600 {path}."
            )
        return path.read_bytes()
    except FileNotFoundError:
        return _make(path)


def _make(path: Path) -> bytes:
    import pysequoia

    path.parent.mkdir(parents=True, exist_ok=True)
    pair = pysequoia.Tsk.generate("Ledgerlake")
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(str(pair))
    with suppress(FileExistsError):
        os.link(draft, path)  # the first one stays
    draft.unlink()
    return path.read_bytes()
