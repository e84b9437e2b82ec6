"""The kernels under gcc's sanitizers: a build of its own, and every test file that exercises the kernels with it.

    python tests/sanitize.py address    AddressSanitizer, UndefinedBehaviorSanitizer, leaks of the kernels
    python tests/sanitize.py thread     ThreadSanitizer, for what runs in several threads

Python itself is not built so: the sanitizers' libraries are preloaded, and watch what the kernels do with any memory.
Each file runs in a process of its own, which ends at the first find; a find in a process that a test starts counts,
too. Python leaks at its end, by their account, and its frames cannot be told apart; so of the leaks only those count
whose memory the C of the kernels asked for. Tests of the drivers, which decode what a network says, are left out: they
lead to the same kernels through ONNX Runtime and torch.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BUILD = PROJECT / "build" / "sanitize"

# By what they call: the kernels themselves; the API on them; the matching of evaluation and analysis; the search.
KERNEL_TESTS = (
    *("test_kernels", "test_assignment", "test_levels", "test_reference", "test_oks", "fuzz/test_kernel_target"),
    *("test_api", "test_options", "test_properties", "test_compat", "test_same_bytes", "test_stubs"),
    *("test_eval", "test_matches", "test_analysis", "test_tuning"),
    *("test_capi", "test_capi_refuses"),
)
THREAD_TESTS = ("test_api", "test_levels", "test_options", "test_capi")
# Those build programs with the commands that users are told, which know nothing of sanitizers.
OWN_BUILDS = "not manuals_command_lines and not manuals_cmake"


@dataclass(frozen=True)
class Sanitizer:
    """flags: of the compiler. libraries: to preload. options: environment variables, and each writes reports.
    selection: pytest's -k."""

    flags: str
    libraries: tuple[str, ...]
    options: Mapping[str, str]
    tests: tuple[str, ...]
    selection: str = ""


SANITIZERS = {
    "address": Sanitizer(
        "address,undefined,float-cast-overflow,bounds-strict",
        ("libasan.so", "libubsan.so"),
        {
            "ASAN_OPTIONS": "halt_on_error=1:abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
            "LSAN_OPTIONS": "exitcode=0:max_leaks=0",
        },
        KERNEL_TESTS,
        OWN_BUILDS,
    ),
    "thread": Sanitizer(
        "thread",
        ("libtsan.so",),
        {"TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:second_deadlock_stack=1"},
        THREAD_TESTS,
        "batch or thread",
    ),
}


def runtime_library(name: str) -> Path:
    """Where gcc has a sanitizer's library; ends the program with one line where it has not."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    try:
        said = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{compiler}: {error}, expected gcc, which builds with sanitizers")
    path = Path(said.strip())
    if not path.is_absolute():
        sys.exit(f"{name}: not found by {compiler}, expected gcc with the libraries of its sanitizers")
    return path


def build(name: str, flags: str) -> Path:
    """The package with kernels built so, in a folder of its own; only what has changed is built again."""
    base = BUILD / name
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-base", str(base), "--build-lib", f"{base}/lib"]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, "HRNETAE_SANITIZE": flags}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nthe build for {name} failed")
    return base / "lib"


def environment(sanitizer: Sanitizer, library: Path, reports: Path) -> dict[str, str]:
    """Of a Python that takes the package from ``library``, with all its memory from malloc, which is watched."""
    preloaded = " ".join(str(runtime_library(name)) for name in sanitizer.libraries)
    options = {name: f"{text}:log_path={reports / name}" for name, text in sanitizer.options.items()}
    python = {"PYTHONPATH": str(library), "PYTHONSAFEPATH": "1", "PYTHONMALLOC": "malloc"}
    flags = {"HRNETAE_SANITIZE": sanitizer.flags}  # for what tests of the C API build
    return {**os.environ, **python, **options, **flags, "LD_PRELOAD": preloaded}


def check_import(env: Mapping[str, str], library: Path) -> None:
    """Ends the program where the preloaded Python does not start, or finds other kernels than those built for it."""
    ask = "from hrnetae import _kernels; print(_kernels.__file__)"
    done = subprocess.run([sys.executable, "-c", ask], env=env, capture_output=True, text=True, check=False)
    if done.returncode or not Path(done.stdout.strip()).is_relative_to(library):
        sys.exit(f"{done.stdout}{done.stderr}\nhrnetae._kernels: expected those in {library}")


# --------------------------------------------------------------------------------------------------------- the reports

_ALLOCATES = re.compile(r"^#\d+ \S+ in (malloc|calloc|realloc|_?Py(Mem|Object)_\w+|__interceptor_\w+)\b")
_OURS = re.compile(r"csrc/|_kernels\.")


def is_our_leak(block: str) -> bool:
    """Whether a leak's memory was asked for by the kernels: its first frame that does not allocate is theirs."""
    frames = [line.strip() for line in block.splitlines() if line.strip().startswith("#")]
    asked = next((frame for frame in frames if not _ALLOCATES.match(frame)), "")
    return "leak of" in block and bool(_OURS.search(asked))


def finds_of(report: str) -> list[str]:
    """What counts in the text that a sanitizer wrote: all but leaks that are not ours."""
    if "LeakSanitizer: detected memory leaks" not in report:
        return [report]
    return [block for block in report.split("\n\n") if is_our_leak(block)]


def finds_in(reports: Path) -> list[str]:
    """What counts in all reports of a folder."""
    texts = [path.read_text(errors="replace") for path in sorted(reports.iterdir())]
    return [find for text in texts if text.strip() for find in finds_of(text)]


_UNDEFINED = re.compile(r"^\S+: runtime error: .*\n(?:    #.*\n)*", re.MULTILINE)


def undefined_behaviour(stderr: str) -> list[str]:
    """The reports of UndefinedBehaviorSanitizer, which go to stderr whatever its options say."""
    return _UNDEFINED.findall(stderr)


# ------------------------------------------------------------------------------------------------------------- the run


def run_file(name: str, sanitizer: Sanitizer, library: Path) -> bool:
    """One test file; says what came of it. False where a test failed or was skipped, or something was found."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        # --capture=sys: a report on stderr would be lost with what pytest captures when the process ends.
        # Tests that take minutes are for HRNETAE_FULL=1; they are not asked for here, so that a skip is a surprise.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--capture=sys"]
        command += [*(("-k", sanitizer.selection) if sanitizer.selection else ()), f"tests/{name}.py"]
        env = environment(sanitizer, library, Path(folder))
        done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
        finds = [*finds_in(Path(folder)), *undefined_behaviour(done.stderr)]
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    summary = lines[-1].strip("= ") if lines else "no output"
    good = done.returncode == 0 and not finds and "skipped" not in summary
    print(f"{name}: {summary}, {len(finds)} finds, {time.monotonic() - start:.0f} s", flush=True)
    if not good:
        print("\n".join([*finds, done.stdout[-6000:], done.stderr[-6000:]]), flush=True)
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where all tests ran and passed, and nothing was found."""
    parser = argparse.ArgumentParser(description="The kernels under gcc's sanitizers.")
    parser.add_argument("sanitizer", choices=tuple(SANITIZERS))
    parser.add_argument("--tests", nargs="+", metavar="NAME", help="these test files alone, as test_api")
    parser.add_argument("--processes", type=int, default=2, help="test files at a time (default: %(default)s)")
    options = parser.parse_args(arguments)
    sanitizer = SANITIZERS[options.sanitizer]
    for name in sanitizer.libraries:
        runtime_library(name)
    library = build(options.sanitizer, sanitizer.flags)
    with tempfile.TemporaryDirectory() as folder:
        check_import(environment(sanitizer, library, Path(folder)), library)
    tests = options.tests or sanitizer.tests
    with ThreadPoolExecutor(options.processes) as pool:
        good = list(pool.map(lambda name: run_file(name, sanitizer, library), tests))
    print(f"{sanitizer.flags}: {sum(good)} of {len(good)} test files clean")
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
