"""`make sanitize`: which tests it runs, what counts of the sanitizers' reports, what it needs."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sanitize

HERE = Path(__file__).parent

OVERFLOW = """=================================================================
==71==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x6020000001f8
WRITE of size 4 at 0x6020000001f8 thread T0
    #0 0x7f in hae_heatmap_nms csrc/heatmap_nms.c:35

SUMMARY: AddressSanitizer: heap-buffer-overflow csrc/heatmap_nms.c:35 in hae_heatmap_nms
"""
LEAKS = """
=================================================================
==72==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 952 byte(s) in 17 object(s) allocated from:
    #0 0x7f in __interceptor_malloc ../../../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x7f in gc_alloc Modules/gcmodule.c:2283
    #2 0x7f in __pyx_f_7hrnetae_8_kernels_csrc build/cython/csrc/_kernels.c:9
{}
Indirect leak of 816 byte(s) in 17 object(s) allocated from:
    #0 0x7f in __interceptor_malloc ../../../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x7f in _PyObject_New Objects/object.c:176

SUMMARY: AddressSanitizer: 3120 byte(s) leaked in 53 allocation(s).
"""
OUR_LEAK = """
Direct leak of 99 byte(s) in 1 object(s) allocated from:
    #0 0x7f in __interceptor_calloc ../../../../src/libsanitizer/asan/asan_malloc_linux.cpp:77
    #1 0x7f in hae_arena_make csrc/arena.c:22
    #2 0x7f in _PyEval_EvalFrameDefault Python/ceval.c:5
"""
NAMELESS_LEAK = """
Direct leak of 99 byte(s) in 1 object(s) allocated from:
    #0 0x7f in malloc (/usr/lib/libasan.so.8+0xb9)
    #1 0x7f  (/build/sanitize/address/lib/hrnetae/_kernels.abi3.so+0x7)
"""
RACE = "==================\nWARNING: ThreadSanitizer: data race (pid=73)\n  Write of size 8 at 0x7f by thread T1:\n"


@pytest.mark.parametrize("report", [OVERFLOW, RACE])
def test_what_a_sanitizer_reports_is_a_find(report: str, tmp_path: Path) -> None:
    (tmp_path / "ASAN_OPTIONS.71").write_text(report)
    (tmp_path / "LSAN_OPTIONS.71").write_text("")
    assert sanitize.finds_in(tmp_path) == [report]


def test_undefined_behaviour_is_a_find() -> None:
    report = "csrc/fit.c:3:2: runtime error: signed integer overflow\n    #0 0x7f in hae_fit csrc/fit.c:3\n"
    assert sanitize.undefined_behaviour(f"before\n{report}\nFatal Python error: Aborted\n") == [report]
    assert sanitize.undefined_behaviour("RuntimeError: runtime error\n") == []


@pytest.mark.parametrize(("leak", "finds"), [("", 0), (OUR_LEAK, 1), (NAMELESS_LEAK, 1), (OUR_LEAK + NAMELESS_LEAK, 2)])
def test_of_leaks_those_of_the_kernels_count(leak: str, finds: int, tmp_path: Path) -> None:
    (tmp_path / "ASAN_OPTIONS.72").write_text(LEAKS.format(leak))
    found = sanitize.finds_in(tmp_path)
    assert len(found) == finds
    assert all("99 byte(s)" in one for one in found)


def test_every_test_of_the_kernels_is_run() -> None:
    """Whoever calls the kernels, the steps or the campaign's levels; this file and the house only name them."""
    names = {path.relative_to(HERE).with_suffix("").as_posix(): path for path in HERE.rglob("test_*.py")}
    calls = re.compile(
        r"\b_kernels\.\w+\(|\bheatmap_nms\(|\bgroup_by_tag\(|\bcampaign\.|\bdecode_batch\(|\bdecode_features\("
    )
    callers = {name for name, path in names.items() if calls.search(path.read_text(encoding="utf-8"))}
    assert len(callers) > 5
    assert callers - {"test_sanitize"} <= set(sanitize.KERNEL_TESTS)
    assert set(sanitize.KERNEL_TESTS) | set(sanitize.THREAD_TESTS) <= names.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler of this test is a shell script")
@pytest.mark.parametrize(
    ("script", "expected"),
    [("echo libasan.so", "libasan.so: not found by "), ("exit 3", "expected gcc, which builds with sanitizers")],
)
def test_a_compiler_without_sanitizers_is_one_line(script: str, expected: str, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        [sys.executable, str(HERE / "sanitize.py"), "address"],
        env={**os.environ, "CC": str(compiler)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert expected in done.stderr
