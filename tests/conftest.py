"""Hypothesis profiles: `quick` by default, `full` with HRNETAE_FULL=1. Both draw the same examples in every run."""

from __future__ import annotations

import os
import signal

import pytest
from c_library import Library, build_shared
from hypothesis import HealthCheck, settings

# Where the suite runs in the background or under nohup, SIGINT or SIGHUP may be ignored, which processes that tests
# start and end so would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

FULL = os.environ.get("HRNETAE_FULL") == "1"

# The examples are the same in every run, and no timing decides a test.
_COMMON = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("quick", _COMMON, max_examples=40)
settings.register_profile("full", _COMMON, max_examples=5000)
settings.load_profile("full" if FULL else "quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked slow run with HRNETAE_FULL=1 alone."""
    if not FULL:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; set HRNETAE_FULL=1"))


@pytest.fixture(scope="session")
def c_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The C API as a shared library; skipped where there is no compiler."""
    return Library(build_shared(tmp_path_factory.mktemp("c_library") / "libhrnetae.so"))
