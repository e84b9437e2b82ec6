"""The report of a tuning: what it is worth, the AP over each parameter, and the parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnetae.evaluation.metrics import METRICS
from hrnetae.evaluation.report.charts import Axis, Bars, Line, bar_chart, line_chart
from hrnetae.evaluation.report.folder import INDEX, check_folder, write_files
from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.evaluation.report.page import facts, number, page, points, section, side_by_side, table, tiles
from hrnetae.params import DecodeParams

if TYPE_CHECKING:
    from hrnetae.tuning import Tuning

NUMBERS = "tuning.json"


def check_tuning_report(folder: Path) -> None:
    """Say before the work what would hinder `write_tuning_report`. Errors: DataError, OSError."""
    check_folder(folder, (INDEX, NUMBERS))


def write_tuning_report(tuning: Tuning, folder: Path, made: Mapping[str, str]) -> Path:
    """Write the report; returns the path of its page. made: how it was made, shown at the end. Errors: OSError."""
    numbers = tuning.to_dict() | {"curves": {name: list(map(list, curve)) for name, curve in tuning.curves.items()}}
    write_files(folder, {NUMBERS: json.dumps(numbers, indent=1) + "\n", INDEX: tuning_page(tuning, made)})
    return folder / INDEX


def tuning_page(tuning: Tuning, made: Mapping[str, str]) -> str:
    """The page as HTML."""
    verdict = tuning.verdict
    said = "significant" if verdict.significant else "not significant: the parameters stay as they were"
    parts = [
        section(
            "Verdict",
            table(
                ("", "default", "tuned"),
                [(name, number(verdict.default[name], 4), number(verdict.tuned[name], 4)) for name in METRICS],
                caption="Metrics on pictures that the tuning did not see, means over the folds",
                show_caption=True,
            ),
            intro=f"The gain of {points(verdict.gain, 2, sign=True)} points of AP is {said}.",
        ),
        section(
            "What each change is worth",
            _contributions(tuning.contributions),
            intro="AP on all pictures that is lost when one change is taken back; for the rescoring, what it adds to "
            "the pictures on which it was fitted.",
        ),
        section(
            "AP over each parameter",
            side_by_side(*(_curve(name, curve) for name, curve in tuning.curves.items())),
            intro="The others as found, without rescoring, on the pictures on which settings are tried first.",
        ),
        section("Parameters", facts(_texts(tuning.params), "The parameters that were written")),
        section("How it was made", facts({**made, "Settings tried": str(tuning.settings)}, "How it was made")),
    ]
    head = tiles(
        [
            ("AP, default", number(verdict.default["AP"], 4), "not seen by the tuning"),
            ("AP, tuned", number(verdict.tuned["AP"], 4), "not seen by the tuning"),
            (
                "Gain",
                points(verdict.gain, 2, sign=True),
                f"95 %: {points(verdict.low, 2, sign=True)} to {points(verdict.high, 2, sign=True)}",
            ),
        ]
    )
    return page("Tuning report", parts, subtitle=f"{tuning.settings} settings tried", head=head)


def _contributions(worth: Mapping[str, float]) -> Markup:
    if not worth:
        return element("p", "Nothing was changed.")
    names = sorted(worth, key=lambda name: -worth[name])
    axis = Axis("points of AP", form=lambda value: points(value / 100, 2, sign=True))
    return bar_chart("Worth of each change", names, [Bars("points of AP", [100 * worth[name] for name in names])], axis)


def _curve(name: str, curve: Sequence[tuple[Any, float]]) -> Markup:
    """Numbers as a line, words and switches as bars."""
    title = f"AP over {name}"
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value, _ in curve):
        line = Line("AP", [(float(value), ap) for value, ap in curve], dots=True)
        return line_chart(title, [line], Axis(name), _axis_around([ap for _, ap in curve]))
    bars = Bars("AP", [ap for _, ap in curve])
    return bar_chart(title, [str(value) for value, _ in curve], [bars], Axis("AP", form=_four))


def _axis_around(values: Sequence[float]) -> Axis:
    """So far apart that differences that are worth nothing look it: a point of AP at least."""
    low, high = min(values), max(values)
    room = max(0.0, 0.01 - (high - low)) / 2 + 0.1 * (high - low)
    return Axis("AP", low=max(0.0, low - room), high=high + room, form=_four)


def _four(value: float) -> str:
    return number(value, 4)


def _texts(params: DecodeParams) -> dict[str, Child]:
    return {name: str(value) for name, value in params.to_dict().items()}
