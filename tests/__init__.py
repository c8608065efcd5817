"""Tests have an installation of their own, `.local/test`, on ports of their own, four for each folder that the project lies in: a demo that is up goes on undisturbed, and so do the
tests of another copy.

Set before anything reads the settings; what the caller sets (LEDGERLAKE_...) is left alone.
"""

import os
import zlib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HOME = PROJECT / ".local" / "test"
# Below those that the system gives to connections.
PORT = 20_000 + zlib.crc32(str(PROJECT).encode()) % 3_000 * 4
OWN = {"LEDGERLAKE_HOME": str(HOME)} | {
    f"LEDGERLAKE_{service}_PORT": str(PORT + n) for n, service in enumerate(("POSTGRES", "SPARK", "AIRFLOW", "MOTO"))
}

for name, value in OWN.items():
    os.environ.setdefault(name, value)
if os.environ["LEDGERLAKE_HOME"] == str(HOME):
    HOME.mkdir(parents=True, exist_ok=True)
    jars = HOME / "jars"
    if not jars.exists() and (PROJECT / ".local" / "jars").is_dir():
        jars.symlink_to(PROJECT / ".local" / "jars")
