"""``python -m bench``: run the suites, write bench/results and the plot, print the table.

A suite that fails leaves its figures out; those of the others are written, but not to docs/, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import machine, report
from hrnetae.files import atomic_write

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
PLOT = HERE.parent / "docs" / "figures" / "decode.svg"
SUITES = ("kernels", "compat", "decode", "threads", "files", "eval", "import")
_MARKED = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time hrnetae.")
    parser.add_argument("--only", choices=SUITES, action="append", help="this suite alone; results/<suite>.json")
    parser.add_argument("--full", action="store_true", help="eval of 5,000 images in place of a few hundred")
    parser.add_argument("--update-docs", action="store_true", help="write table and plot to docs/ as well")
    args = parser.parse_args(argv)
    if args.only and args.update_docs:
        parser.error("--update-docs takes the figures of one whole run: without --only")
    suites = args.only or SUITES

    others = machine.Others()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        options = [f"--benchmark-json={raw}", f"--basetemp={folder}/files", "--quiet", "--no-header"]
        status = pytest.main([*options, *(["--full"] if args.full else []), *(f"{HERE}/bench_{s}.py" for s in suites)])
        if not raw.is_file() or not raw.stat().st_size:
            return 1
        result = report.condense(json.loads(raw.read_text()))
        result["machine"]["others_busy"] = others.processors()

    table = report.as_markdown(result)
    name = "-".join(suites) if args.only else "latest"
    write(RESULTS / f"{name}.json", json.dumps(result, indent=1) + "\n")
    write(RESULTS / f"{name}.md", table)
    if args.update_docs and status == pytest.ExitCode.OK:
        page = PAGE.read_text(encoding="utf-8")
        write(PAGE, _MARKED.sub(lambda match: match[1] + table + match[2], page))
        report.plot(result["figures"], PLOT)
    print(table)
    return int(status)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(text.encode())


if __name__ == "__main__":
    sys.exit(main())
