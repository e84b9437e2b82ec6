"""The fuzzers: `python tests/fuzz --target NAME --cases N --processes P --state FILE`.

Without --target all are run that can be: that of checkpoints needs torch. A find is repeated by --case.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runner import main
from targets import TARGETS

# Where the drawn inputs of the test suite are.
sys.path.append(str(Path(__file__).resolve().parents[1]))

raise SystemExit(main(TARGETS))
