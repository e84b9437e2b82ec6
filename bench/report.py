"""From pytest-benchmark's JSON to one short JSON, a table, and a plot."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.scenes import crowd

Figure = dict[str, Any]

QUARTILES = ("median", "q1", "q3")
PEOPLE = (0, 1, 5, 10, 30)
QUOTIENTS = (("1920 x 1080", "10 people"), ("noise everywhere", "30 people"))
# The figure, how the table calls it, and what is aimed at.
GOALS = (
    ("decode: 0 people", "decode / copy of the inputs, 0 people", "at most 1.5"),
    ("decode: 1 person", "decode / copy of the inputs, 1 person", "at most 1.5"),
    ("decode: 5 people", "decode / copy of the inputs, 5 people", "at most 1.5"),
    ("decode: 10 people", "decode / copy of the inputs, 10 people", "at most 2"),
    ("decode: 30 people", "decode / copy of the inputs, 30 people", "at most 4"),
    ("decode: a real network's outputs", "decode / copy of the inputs, a real network's outputs", "at most 2"),
    ("decode: two stages", "decode / copy of the inputs, two stages", "at most 1.5"),
    ("1920 x 1080 / 10 people", "decode 1920 x 1080 / 640 x 480", "at most 1.2"),
    ("noise everywhere / 30 people", "decode noise everywhere / 30 people", "at most 50"),
    ("threads: 5 people, two threads", "decode_batch, one thread / two threads", "at least 1.8"),
    ("files: read", "reading a pair / its bytes into a buffer", "at most 1.3"),
    ("eval: 5000 images, two workers, seconds", "eval of 5,000 images, two workers", "at most 15 s"),
    ("eval: 5000 images, two workers, memory", "the same, memory of all processes", "at most 600 MB"),
    ("import: import hrnetae, seconds", "import hrnetae", "at most 100 ms"),
)
HEADINGS = {
    "decode": "One image, `Decoder.decode`",
    "threads": "Many images, `decode_batch`",
    "kernels": "The steps on dense maps, 640 x 480, 10 people",
    "compat": "The drop-ins, one image",
    "files": "Reading an image's two npz files (stored)",
    "eval": "`hrnetae eval`",
    "reports": "Reports and comparisons",
    "import": "`import hrnetae`, fresh process",
}


def condense(raw: Mapping[str, Any]) -> dict[str, Any]:
    """machine, date, and one entry per figure; times in seconds. ratio: median / median of what ran beside it."""
    figures = []
    for entry in raw["benchmarks"]:
        notes = dict(entry["extra_info"])
        other = notes.pop("other")
        ours = {name: entry["stats"][name] for name in QUARTILES}
        figures.append(
            {
                "suite": entry["group"],
                "title": notes.pop("title"),
                **ours,
                "rounds": entry["stats"]["rounds"],
                "against": {"what": notes.pop("against"), **other},
                "ratio": ours["median"] / other["median"],
                "faster": notes.pop("faster", False),
                "notes": notes,
            }
        )
    return {"machine": raw["machine_info"], "date": raw["datetime"][:10], "figures": figures}


def goals(figures: Sequence[Figure]) -> list[tuple[str, str, str]]:
    """(what, goal, found) for the goals whose figures there are."""
    found: dict[str, str] = {}
    medians = {figure["title"]: figure["median"] for figure in figures}
    for figure in figures:
        key = f"{figure['suite']}: {figure['title']}"
        found[key] = f"{1 / figure['ratio'] if figure['faster'] else figure['ratio']:.2f}"
        found[f"{key}, seconds"] = _time(figure["median"])
        if "peak_mb" in figure["notes"]:
            found[f"{key}, memory"] = f"{figure['notes']['peak_mb']} MB"
    for one, two in QUOTIENTS:
        if one in medians and two in medians:
            found[f"{one} / {two}"] = f"{medians[one] / medians[two]:.2f}"
    return [(what, goal, found[key]) for key, what, goal in GOALS if key in found]


def as_markdown(result: Mapping[str, Any]) -> str:
    machine, figures = result["machine"], result["figures"]
    caches = ", ".join(f"{name} {_bytes(size)}" for name, size in machine["caches"].items()) or "caches unknown"
    lines = [
        f"Measured {result['date']} with hrnetae {machine['hrnetae']}, kernels: {machine['level']};",
        f"on {machine['cpu']}, {machine['processors']} processors, {caches}; {machine['system']},",
        f"Python {machine['python']}, NumPy {machine['numpy']}, {machine['compiler'] or 'compiler unknown'};",
        f"processors that others kept busy meanwhile: {machine['others_busy']}.",
    ]
    reached = goals(figures)
    if reached:
        lines += ["", "| | goal | found |", "| --- | --- | --- |"]
        lines += [f"| {what} | {goal} | {found} |" for what, goal, found in reached]
    for suite, heading in HEADINGS.items():
        rows = [figure for figure in figures if figure["suite"] == suite]
        if rows:
            lines += [
                "",
                f"### {heading}",
                "",
                "| | median | quartiles | beside it | ratio |",
                "| --- | --- | --- | --- | --- |",
            ]
            lines += [_row(figure) for figure in rows]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    against, notes = figure["against"], figure["notes"]
    title = figure["title"]
    if "persons" in notes and figure["suite"] == "decode":
        title += f" ({notes['persons']:.0f} found)"
    if "images" in notes:
        title += f", {_time(figure['median'] / notes['images'])} an image"
    if "peak_mb" in notes:
        title += f", {notes['peak_mb']} MB"
    ratio = f"{_short(1 / figure['ratio'])} times faster" if figure["faster"] else _short(figure["ratio"])
    quartiles = f"{_time(figure['q1'])} to {_time(figure['q3'])}"
    beside = f"{against['what']}: {_time(against['median'])}"
    return f"| {title} | {_time(figure['median'])} | {quartiles} | {beside} | {ratio} |"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            return f"{_short(seconds * scale)} {unit}"
    raise AssertionError


def _bytes(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} kB"


def plot(figures: Sequence[Figure], path: Path) -> bool:
    """Decode time by people beside the copy; False where there is nothing to draw or to draw with."""
    titles = {crowd(people): people for people in PEOPLE}
    shown = [figure for figure in figures if figure["suite"] == "decode" and figure["title"] in titles]
    if not shown:
        return False
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return False
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "hrnetae", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    people = [titles[figure["title"]] for figure in shown]
    axes: Any
    chart, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    series = [("decode", "#1f77b4", shown), ("copy of the inputs", "#888888", [figure["against"] for figure in shown])]
    for label, colour, values in series:
        median, q1, q3 = ([1e3 * value[name] for value in values] for name in QUARTILES)
        axes.plot(people, median, "o-", color=colour, label=label)
        axes.fill_between(people, q1, q3, color=colour, alpha=0.2, linewidth=0)
    if max(figure["ratio"] for figure in shown) > 20:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlabel="people drawn", ylabel="ms an image", title="640 x 480, float16, flip; data not in the cache")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    chart.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(chart)
    return True
