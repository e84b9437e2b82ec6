"""Signals that ask the command to end: the first one ends it in order, a second one at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_SAME = 0.5  # seconds within which a signal counts as the same: `timeout` and terminals send it twice, to us and to all


class Ending:
    """While its ``with`` block runs, SIGTERM and SIGHUP raise KeyboardInterrupt as SIGINT does, so that temporary files
    are removed and processes ended. A second signal ends the process as it is; what it leaves, the next run removes.

    A signal that whoever started us ignores (nohup) or the program around us handles is left to them; so are all where
    this is not the main thread.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._at = 0.0
        self._before: dict[int, Any] = {}

    @property
    def signal(self) -> signal.Signals | None:
        """The one that came; None so far."""
        return None if self._first is None else signal.Signals(self._first)

    @property
    def exit_code(self) -> int:
        """As shells report it, 130 for SIGINT (also where somebody else raised KeyboardInterrupt), 143 for SIGTERM."""
        return 128 + (signal.SIGINT if self._first is None else self._first)

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = before
                    signal.signal(number, self._end)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._first is None:
            self._first, self._at = number, time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._at > _SAME:
            os._exit(128 + number)
