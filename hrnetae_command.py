"""Where the command ``hrnetae`` begins. Outside of the package, whose import loads NumPy: ctrl-C is quiet by then."""

from __future__ import annotations

import importlib
import sys

_INTERRUPTED = 130  # as hrnetae.tools.cli


def main() -> int:
    """Load the command and run it; its exit code, or 130 where ctrl-C came while it was loaded."""
    try:
        cli = importlib.import_module("hrnetae.tools.cli")
    except KeyboardInterrupt:
        print("hrnetae: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return int(cli.main())
