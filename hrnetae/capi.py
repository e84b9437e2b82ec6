"""Where the headers and the library for C and C++ lie; docs/cpp.md is their manual."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def get_include() -> str:
    """The folder for the compiler's -I: ``#include <hrnetae.h>``. FileNotFoundError where the headers are missing."""
    return str(_there(_PACKAGE / "include" / "hrnetae.h").parent)


def get_library() -> str:
    """The static library to link with: libhrnetae.a, or hrnetae.lib on Windows. It needs no Python.

    FileNotFoundError where it is missing.
    """
    folder = _PACKAGE / "lib"
    windows = folder / "hrnetae.lib"
    return str(windows if windows.is_file() else _there(folder / "libhrnetae.a"))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there, expected it beside the compiled kernels: install hrnetae again")
    return path
