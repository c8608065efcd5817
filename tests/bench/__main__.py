"""`make bench`: every benchmark, or those named: `python -m tests.bench gated_load`. Prints ratios measured in one run."""

from __future__ import annotations

import importlib
import sys

BENCHES = ("arrival", "gated_load", "topic", "days")

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHES:
        print(f"== {name}")
        importlib.import_module(f"tests.bench.{name}").main()
