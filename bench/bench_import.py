"""``import hrnetae`` in a fresh process, beside ``import numpy`` in another; files in the page cache."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.timing import beside

ROUNDS = 15
HEAVY = {"cv2", "onnxruntime", "torch"}

_CODE = "import sys, time; start = time.perf_counter(); import {}; print(time.perf_counter() - start, *sys.modules)"
_elapsed = [0.0]  # what the fresh processes have measured, summed


def child_clock() -> float:
    """The clock of this benchmark: it runs only while a fresh process imports."""
    return _elapsed[0]


def import_afresh(module: str) -> set[str]:
    """The names of the modules that this loads."""
    command = [sys.executable, "-c", _CODE.format(module)]
    seconds, *modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    _elapsed[0] += float(seconds)
    return set(modules)


@pytest.mark.benchmark(timer=child_clock)
@pytest.mark.usefixtures("suite")
def bench_import(benchmark: BenchmarkFixture) -> None:
    assert not import_afresh("hrnetae") & HEAVY
    modules = ["hrnetae"], ["numpy"]
    beside(
        benchmark,
        "import hrnetae",
        modules[0],
        import_afresh,
        modules[1],
        import_afresh,
        "import numpy",
        seconds=0,
        fewest=ROUNDS,
        timer=child_clock,
    )
