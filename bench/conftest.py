"""Options of the benchmarks, and the machine's description in their JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="eval of 5,000 images in place of a few hundred")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info.clear()  # it holds the host's name
    machine_info.update(machine.describe())


@pytest.fixture
def suite(request: pytest.FixtureRequest, benchmark: Any) -> str:
    """The name of the file's suite, which is also the benchmark's group: "decode" for bench_decode.py."""
    benchmark.group = Path(request.path).stem.removeprefix("bench_")
    return str(benchmark.group)
