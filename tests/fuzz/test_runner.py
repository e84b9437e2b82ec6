"""The runner of the fuzzers: planted crashes, hangs, hunger and errors are found, and the campaign goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("planted_targets.py")
CASES = 50


def command(target: str, *options: str | Path, seconds: float = 5.0, cases: int = CASES) -> list[str]:
    limits = ["--seconds", str(seconds), "--memory", "32"]
    return [sys.executable, str(SCRIPT), "--target", target, "--cases", str(cases), *limits, *map(str, options)]


def run(*arguments: Any, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments, **settings), capture_output=True, text=True, timeout=120, check=False)


def finds(state: Path) -> dict[int, str]:
    (campaign,) = json.loads(state.read_text())["campaigns"]
    return {find["case"]: find["what"] for find in campaign["finds"]}


def done(state: Path) -> int:
    (campaign,) = json.loads(state.read_text())["campaigns"]
    return int(campaign["done"])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("sound", {}),
        ("says", {7: "seven", 40: "forty"}),
        ("raises", {3: r"raised LookupError: planted in two lines \(.*\)", 5: r"raised SystemExit: 0 \(.*\)"}),
        (
            "dies",
            {2: "the worker died of SIGKILL", 30: "the worker died of SIGSEGV", 31: "the worker died of exit 3"},
        ),
        (
            "eats",
            {4: "memory 4. MiB above the start.*", 9: "raised MemoryError: .*", 20: "memory 4. MiB above the start.*"},
        ),
    ],
)
@pytest.mark.parametrize("processes", [1, 3])
def test_planted_faults_are_found_and_nothing_else(
    target: str, expected: dict[int, str], processes: int, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    result = run(target, "--processes", processes, "--state", state)
    assert result.returncode == (1 if expected else 0), result.stderr
    found = finds(state)
    assert found.keys() == expected.keys()
    assert all(re.fullmatch(expected[case], found[case]) for case in expected), found
    assert done(state) == CASES
    for case in expected:
        assert f"--target {target} --seed 0 --case {case}: " in result.stdout


def test_hangs_are_found_both_busy_and_asleep(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    run("hangs", "--processes", 2, "--state", state, seconds=0.3)
    assert finds(state) == {0: "hangs: over 0.3 s", 11: "hangs: over 0.3 s"}
    assert done(state) == CASES


def test_a_killed_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    state, whole = tmp_path / "state.json", tmp_path / "whole.json"
    cases = 300
    options = ("--processes", "2", "--state", state)
    for part in (1, 2):  # killed twice
        process = subprocess.Popen(command("slow", *options, cases=cases), stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        while not (state.exists() and done(state) >= 20 * part) and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = done(state)
    assert 20 <= before < cases
    result = run("slow", *options, cases=cases)
    assert done(state) == cases
    run("slow", "--processes", 2, "--state", whole, cases=cases)
    assert finds(state) == finds(whole) == {10: "ten", 200: "two hundred"}
    # All is done: a third run has nothing to do, more cases go on behind the last one.
    assert run("slow", *options, cases=cases).stdout.splitlines()[-1] == result.stdout.splitlines()[-1] == "2 finds"
    run("slow", *options, cases=cases + 10)
    assert done(state) == cases + 10


def test_one_case_in_this_process() -> None:
    assert run("raises", "--case", 3).stdout.startswith("raises: case 3: raised LookupError: planted")
    assert run("raises", "--case", 4).stdout == "raises: case 4: nothing wrong\n"
    assert run("raises", "--case", 3).returncode == 1
    assert run("dies", "--case", 30).returncode == -signal.SIGSEGV
