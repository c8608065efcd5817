"""Tests have an installation of their own, `.local/test`, on ports of their own: a demo that is up goes on undisturbed.

Set before anything reads the settings; what the caller sets (LEDGERLAKE_...) is left alone.
"""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HOME = PROJECT / ".local" / "test"
OWN = {
    "LEDGERLAKE_HOME": str(HOME),
    "LEDGERLAKE_POSTGRES_PORT": "25432",
    "LEDGERLAKE_SPARK_PORT": "25002",
    "LEDGERLAKE_AIRFLOW_PORT": "28080",
    "LEDGERLAKE_MOTO_PORT": "25000",
}

for name, value in OWN.items():
    os.environ.setdefault(name, value)
if os.environ["LEDGERLAKE_HOME"] == str(HOME):
    HOME.mkdir(parents=True, exist_ok=True)
    jars = HOME / "jars"
    if not jars.exists() and (PROJECT / ".local" / "jars").is_dir():
        jars.symlink_to(PROJECT / ".local" / "jars")
