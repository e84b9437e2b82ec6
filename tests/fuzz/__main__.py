"""The fuzzers: `python tests/fuzz --target NAME --cases N --processes P --state FILE`."""

from __future__ import annotations

from runner import main
from targets import TARGETS

raise SystemExit(main(TARGETS))
