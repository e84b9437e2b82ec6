"""The vendor's own command-line tools, where they are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hrnetae.files.errors import DataError

_HELP_SECONDS = 10.0  # longer than any of them takes to print its help


def vendor_tool(name: str, marks: Sequence[str]) -> Path | None:
    """The program ``name`` on PATH if its help text has every one of ``marks``, else None.

    marks: regular expressions; small and capital letters are the same.

    Programs of other makers have the same names (``vamp`` is also a host of audio plugins), so the name alone says
    nothing. What the program prints for ``--help`` counts, on either stream and whatever its exit code.
    """
    found = shutil.which(name)
    if found is None:
        return None
    text = _help_text(found)
    return Path(found) if all(re.search(mark, text, re.IGNORECASE) for mark in marks) else None


def hand_over(tool: Path, argv: Sequence[str]) -> int:
    """Run the vendor's program with these arguments, its streams being ours, and return its exit code.

    A program that a signal ended gives 128 and the signal's number, as shells do.
    Errors: DataError where it cannot be started.
    """
    try:
        code = subprocess.run([str(tool), *argv], check=False).returncode
    except OSError as error:
        raise DataError(f"{tool}: {error.strerror or error}, expected a program that runs") from None
    return code if code >= 0 else 128 - code


def _help_text(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--help"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_HELP_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")
