"""The report of a comparison: what it tells of small differences, and its pictures in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from browser import SIZES, chromium, needs_browser, opened
from test_compare import make_truth, moved, perfect, without

from hrnetae.evaluation.bootstrap import Difference
from hrnetae.evaluation.comparison_findings import Row
from hrnetae.evaluation.report import comparison_sections
from hrnetae.evaluation.results import write_results
from hrnetae.files.pictures import write_picture
from hrnetae.tools import cli


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 40 pictures: `less` lacks one person; `near` has every joint a tenth of a pixel off, so all OKS just fell."""
    folder = tmp_path_factory.mktemp("comparison")
    truth = make_truth(folder / "truth.json", images=40)
    (folder / "val2017").mkdir()
    for image in range(1, 41):
        write_picture(folder / "val2017" / f"{image:012d}.png", np.full((128, 128, 3), 5 * image, np.uint8))
    exact = perfect(truth)
    near = np.full((len(exact), 17, 2), 0.1)
    columns = {"good": exact, "less": without(exact, [0]), "near": moved(exact, near)}
    for name, results in columns.items():
        write_results(folder / f"{name}.json", results)
    files = [str(folder / f"{name}.json") for name in columns]
    command = [
        "compare",
        *files,
        "--ann_file",
        str(folder / "truth.json"),
        "--data_root",
        str(folder),
        "--rounds",
        "40",
    ]
    assert cli.main([*command, "--report", str(folder / "report")]) == 0
    return folder / "report" / "index.html"


def test_in_short_tells_of_every_change(report: Path) -> None:
    short = re.search(r'<ul class="short">(.*?)</ul>', report.read_text(), re.DOTALL)
    assert short is not None
    less, near = re.findall(r"<li>(.*?)</li>", short[1], re.DOTALL)
    assert "1 person lost, 0 won; 1 picture of 40 changed." in less
    assert "0 persons lost, 0 won; 40 pictures of 40 changed." in near and "mean OKS \u2212" in near


def test_significant_differences_are_never_printed_as_nothing(report: Path) -> None:
    marked = re.findall(r">([+\u2212][\d.]+)\*<", report.read_text())
    assert marked and all(float(text[1:]) for text in marked)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (Difference(-0.00001234, -0.00002, -0.000003), "\u22120.0012"),
        (Difference(-0.0123, -0.02, -0.003), "\u22121.23"),
        (Difference(0.00001, -0.00002, 0.00003), "+0.00"),  # within chance: no more digits than it deserves
    ],
)
def test_digits_of_a_difference(change: Difference, shown: str) -> None:
    row = Row("AP", (0.5, 0.5), (change,))
    text = str(comparison_sections._change_cells(row.name, change)[0])
    assert shown in text and text.count("*") == change.significant


@needs_browser
@pytest.mark.parametrize("size", [*SIZES, (700, 900)])
def test_enlarged_pairs_are_whole_and_names_unique(report: Path, size: tuple[int, int]) -> None:
    with chromium() as browser, opened(browser, report, size) as page:
        page.locator(".card:not([hidden]) .picture").first.click()
        dialog = page.get_by_role("dialog")
        inside, whole = dialog.evaluate("(one) => [one.clientWidth, one.scrollWidth]")
        assert whole <= inside
        views = dialog.locator(".view").evaluate_all(
            """(all) => all.map((one) => [one, one.querySelector('.picture'), one.querySelector('svg')])
                .map((parts) => parts.map((part) => part.getBoundingClientRect())
                .map((box) => [box.left, box.right, box.top, box.bottom]))"""
        )
        edge = dialog.bounding_box()
        assert len(views) == 2
        for view, picture, drawing in views:
            assert edge["x"] <= view[0] <= picture[0] + 0.5 and picture[1] - 0.5 <= view[1] <= edge["x"] + edge["width"]
            assert picture == pytest.approx(drawing, abs=0.5)
        beside = views[0][0][1] <= views[1][0][0]
        assert beside == (size[0] > 800) and (beside or views[0][0][3] <= views[1][0][2])
        names = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
        assert "picture-0" in names and len(names) == len(set(names))


@needs_browser
def test_counts_follow_the_other_filters(report: Path) -> None:
    """Column `less` has one picture that changed, with a person lost; in column `near` nobody was lost."""
    with chromium() as browser, opened(browser, report) as page:
        lost = page.locator("fieldset[data-filter=change] label", has_text="Persons lost")
        assert lost.locator(".count").inner_text() == "1" and lost.locator("input").is_enabled()
        page.get_by_role("radio", name=re.compile("near")).check(force=True)
        assert lost.locator(".count").inner_text() == "0" and lost.locator("input").is_disabled()
        page.get_by_role("radio", name=re.compile("less")).check(force=True)
        assert lost.locator(".count").inner_text() == "1" and lost.locator("input").is_enabled()
