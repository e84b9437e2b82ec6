"""The fuzzers: `python tests/fuzz --target NAME --cases N --processes P --state FILE`.

Without --target all are run that can be: that of checkpoints needs torch. A find is repeated by --case.
"""

from __future__ import annotations

from runner import main
from targets import TARGETS

raise SystemExit(main(TARGETS))
