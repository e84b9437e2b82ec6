"""docs/reliability.md: every test and every target that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "reliability.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="no docs here: not a source checkout")

_NAMED = re.compile(r"`(test_\w+\.py)::(\w+)`")
_TARGET = re.compile(r"`make ([\w-]+)`")


def rows(heading: str | None = None) -> list[list[str]]:
    """Cells of the tables' rows, without their heads; of all sections or of the one that begins with ``heading``."""
    found, section = [], ""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        section = line.removeprefix("## ") if line.startswith("## ") else section
        is_row = line.startswith("| ") and not line.startswith("| ---") and not following.startswith("| ---")
        if is_row and (heading is None or section.startswith(heading)):
            found.append(line.strip("| ").split(" | "))
    return found


def functions_in(name: str) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse((TESTS / name).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_names_tests_that_exist() -> None:
    campaigns = [cells[0] for cells in rows("Campaigns")]
    table = [cells for cells in rows() if cells[0] not in campaigns]
    assert len(table) > 60 and campaigns
    for cells in table:
        named = _NAMED.findall(cells[-1])
        assert len(cells) == 3 and named, cells
        for file, test in named:
            assert (TESTS / file).is_file() and test in functions_in(file), f"{file}::{test}, of {cells[0]!r}"


def test_campaigns_that_ran_are_targets() -> None:
    makefile = (TESTS.parent / "Makefile").read_text(encoding="utf-8")
    for target, _, _ in rows("Campaigns"):
        (name,) = _TARGET.findall(target)
        assert re.search(rf"^{name}:.*## ", makefile, re.MULTILINE), target
