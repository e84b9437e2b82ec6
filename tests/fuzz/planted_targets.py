"""Targets with known faults, for the tests of the runner: `python planted_targets.py --target NAME ...`."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from runner import Target, main


@dataclass(frozen=True)
class Planted:
    """Nothing wrong but in the cases named here."""

    name: str
    faults: Mapping[int, Callable[[], object]]

    def run(self, seed: int, number: int) -> str:
        fault = self.faults.get(number)
        return str(fault() or "") if fault else ""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise LookupError("planted\nin two lines")


def _exit() -> None:
    raise SystemExit(0)


def _hang() -> None:
    while True:
        pass


def _eat() -> str:
    return "" if bytearray(48 << 20) else "nothing eaten"


def _eat_all() -> str:
    return "" if bytearray(1 << 40) else "nothing eaten"


_TARGETS = (
    Planted("sound", {}),
    Planted("says", {7: lambda: "seven", 40: lambda: "forty"}),
    Planted("raises", {3: _raise, 5: _exit}),
    Planted("dies", {2: _kill, 30: lambda: ctypes.string_at(0), 31: lambda: os._exit(3)}),
    Planted("hangs", {0: _hang, 11: lambda: time.sleep(600)}),
    Planted("eats", {4: _eat, 9: _eat_all, 20: _eat}),
    Planted(
        "slow",
        {number: lambda: time.sleep(0.01) for number in range(1000)} | {10: lambda: "ten", 200: lambda: "two hundred"},
    ),
)
TARGETS: Mapping[str, Callable[[], Target]] = {one.name: partial(lambda target: target, one) for one in _TARGETS}

if __name__ == "__main__":
    raise SystemExit(main(TARGETS))
