"""The parts of an evaluation's report that show numbers: curves, errors by kind, joints, groups, scores."""

from __future__ import annotations

from collections.abc import Sequence

from hrnetae.evaluation.findings import (
    Analysis,
    Calibration,
    Curves,
    Fix,
    Group,
    Grouping,
    JointErrors,
    PrecisionRecall,
    Taxonomy,
)
from hrnetae.evaluation.report.charts import Axis, Bars, Line, bar_chart, line_chart, ramp
from hrnetae.evaluation.report.kinds import JOINT_ERRORS, MEANINGS, TITLES, TONES
from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.evaluation.report.page import Section, details, number, points, section, side_by_side, table

_STEP_THRESHOLD = 0.75  # OKS, for the curves that show one correction after the other
_FEW = 10  # persons; a group with fewer says little


def in_short(analysis: Analysis) -> Section:
    """What a reader should know who reads no further."""
    facts = [_costliest(analysis.taxonomy), _weakest_joint(analysis.joints), _weakest_groups(analysis.groupings)]
    facts.append(_calibration_in_short(analysis.calibration))
    return section("In short", element("ul", [element("li", fact) for fact in facts if fact], class_="short"))


def curves(found: Curves) -> Section:
    """Precision over recall at each OKS threshold, and AP over the threshold."""
    many = len(found.by_threshold) - 1
    lines = [
        Line(f"{one.threshold:.2f}", _curve(found.recalls, one), ramp(i / max(many, 1)))
        for i, one in enumerate(found.by_threshold)
    ]
    ap = [(one.threshold, _there(one.ap)) for one in found.by_threshold]
    reached = [(one.threshold, _there(one.recall)) for one in found.by_threshold]
    return section(
        "Curves",
        side_by_side(
            line_chart(
                "Precision and recall",
                lines,
                Axis("recall", 0, 1),
                Axis("precision", 0, 1, _three),
                note="One curve per OKS threshold, from 0.50 (loose) to 0.95 (strict).",
            ),
            line_chart(
                "How exact the people are",
                [Line("AP", ap, dots=True), Line("highest recall", reached, "tone-3", dots=True)],
                Axis("OKS threshold", 0.5, 0.95, _two),
                Axis("", 0, 1, _three),
                note="AP falls where the threshold asks for more than the joints' places give.",
            ),
        ),
    )


def errors(found: Taxonomy) -> Section:
    """The kinds of error, how many there are and what they cost."""
    names = [TITLES[fix.kind] for fix in found.fixes]
    rows: list[Sequence[Child]] = [("As it is", "", "", "", "", number(found.ap, 4))]
    rows += [_fix_row(fix) for fix in found.fixes]
    rows.append(("Not explained", "", "", "", points(found.rest, 2, sign=True), number(1.0, 4)))
    head = ("", "Count", "AP, this alone corrected", "Points", "Points in this order", "AP so far")
    kinds = [element("div", element("dt", TITLES[kind]), element("dd", text)) for kind, text in MEANINGS.items()]
    return section(
        "Errors by kind",
        side_by_side(
            bar_chart(
                "What correcting each kind is worth",
                names,
                [
                    Bars("this kind alone", [100 * fix.alone_gain for fix in found.fixes]),
                    Bars("after those above it", [100 * fix.gain for fix in found.fixes], "tone-3"),
                ],
                Axis("points of AP", form=_points),
                note="The AP that is gained when all errors of a kind are corrected and nothing else is.",
            ),
            _steps_chart(found),
        ),
        table(head, rows, caption="The errors by kind, and the AP when they are corrected one kind after the other"),
        element("p", _paired(found)),
        details("What the kinds mean", element("dl", kinds, class_="meanings")),
        intro="After Ronchi and Perona, Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation (ICCV "
        "2017): each wrong joint and each wrong person is of one kind; a kind costs the AP that correcting it would "
        "give.",
    )


def joints(found: Sequence[JointErrors]) -> Section:
    """How far off each joint is, and in which way."""
    names = [_words(joint.joint) for joint in found]
    shares = [
        Bars(TITLES[kind], [_share(getattr(joint, kind), joint.labelled) for joint in found], TONES[kind])
        for kind in JOINT_ERRORS
    ]
    head = ("", "Labelled", "Good", *(TITLES[kind] for kind in JOINT_ERRORS), "Median px", "90 % within px", "OKS part")
    rows = [
        (
            _words(one.joint),
            f"{one.labelled:,}",
            f"{one.good:,}",
            *(f"{getattr(one, kind):,}" for kind in JOINT_ERRORS),
            number(one.median_pixels, 1),
            number(one.p90_pixels, 1),
            number(one.mean_similarity, 3),
        )
        for one in found
    ]
    return section(
        "Joints",
        side_by_side(
            bar_chart(
                "Distance from the truth",
                names,
                [Bars("median", [_percents(joint.median_scaled) for joint in found])],
                Axis("% of the square root of the person's area", form=_one),
                note="The median over the persons that were found.",
            ),
            bar_chart(
                "Wrong joints, by kind",
                names,
                shares,
                Axis("% of the labelled joints", form=_one),
                note="Joints of persons that were found; the rest is good.",
                stacked=True,
            ),
        ),
        table(head, rows, caption="Errors of each joint"),
    )


def groups(found: Sequence[Grouping]) -> Section:
    """AP by size, crowding and number of visible joints."""
    charts = [_group_chart(one) for one in found if any(group.persons for group in one.groups)]
    head = ("", "Persons", "Found", "Mean OKS", "AP", "AP .50", "AP .75", "AR")
    tables = [
        table(head, [_group_row(group) for group in one.groups], caption=_titled(one), show_caption=True)
        for one in found
    ]
    return section(
        "Groups of persons",
        side_by_side(charts),
        details("All numbers by group", tables),
        intro="The AP of the annotated persons of each group alone. Found: at OKS 0.1 or more.",
    )


def scores(found: Calibration) -> Section:
    """Whether a higher score means a better person."""
    bins = found.bins
    oks = [(one.mean_score, one.mean_oks) for one in bins]
    right = [(one.mean_score, one.precision50) for one in bins]
    strict = [(one.mean_score, one.precision75) for one in bins]
    top = max([1.0, *(one.mean_score for one in bins)])
    chart = line_chart(
        "What a score says",
        [
            Line("mean OKS", oks, dots=True),
            Line("right at OKS 0.50", right, "tone-3", dots=True),
            Line("right at OKS 0.75", strict, "tone-2", dots=True),
            Line("score = share", [(0.0, 0.0), (1.0, 1.0)], dashed=True),
        ],
        Axis("mean score", 0, top, _two),
        Axis("", 0, 1, _three),
        note="Found persons by rising score, equally many in each point. In a point more may be right at 0.75 than at "
        "0.50: as COCO does, each threshold pairs anew, so that at 0.50 another may take the annotated person.",
    )
    head = ("Score", "Persons", "Mean score", "Mean OKS", "Right at 0.50", "Right at 0.75")
    rows = [
        (
            f"{number(one.low)} to {number(one.high)}",
            f"{one.persons:,}",
            number(one.mean_score),
            number(one.mean_oks),
            number(one.precision50),
            number(one.precision75),
        )
        for one in bins
    ]
    correlation = f"Rank correlation of score and OKS (Spearman): {number(found.rank_correlation)}."
    return section(
        "Scores",
        element("p", correlation),
        side_by_side(chart, element("div", table(head, rows, caption="Found persons by score"), class_="chart whole")),
        intro="AP looks at the order of the scores alone. Whoever cuts at a score also wants to know what it is worth.",
    )


# ---------------------------------------------------------------------------------------------------------------------
# In short


def _costliest(found: Taxonomy) -> Child:
    fixes = sorted((fix for fix in found.fixes if fix.alone_gain > 0), key=lambda fix: -fix.alone_gain)[:3]
    if not fixes:
        return "No kind of error costs any AP."
    told = [f"{TITLES[fix.kind].lower()} ({points(fix.alone_gain, 1, sign=True)})" for fix in fixes]
    return ("The costliest errors, by the points of AP that correcting them alone would give: ", _listed(told), ".")


def _weakest_joint(found: Sequence[JointErrors]) -> Child:
    measured = [one for one in found if one.labelled >= _FEW and one.mean_similarity is not None]
    if not measured:
        return None
    weak = sorted(measured, key=lambda one: one.good / one.labelled)[:2]
    told = [f"{_words(one.joint)} ({100 * one.good / one.labelled:.0f} % good)" for one in weak]
    return ("The joints that are wrong most often: ", _listed(told), ".")


def _weakest_groups(found: Sequence[Grouping]) -> Child:
    told = []
    for grouping in found:
        there = [group for group in grouping.groups if group.persons >= _FEW and group.ap >= 0]
        if grouping.name != "coco_size" and len(there) > 1:
            weak = min(there, key=lambda group: group.ap)
            told.append(f"{grouping.title.lower()}: {weak.name} (AP {weak.ap:.3f})")
    return ("The groups of persons with the lowest AP: ", "; ".join(told), ".") if told else None


def _calibration_in_short(found: Calibration) -> Child:
    if found.rank_correlation is None:
        return None
    return (
        f"Score and OKS of the found persons have a rank correlation of {found.rank_correlation:.2f} (1: the better "
        "the higher; 0: as by chance)."
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# ---------------------------------------------------------------------------------------------------------------------
# Errors


def _fix_row(fix: Fix) -> Sequence[Child]:
    return (
        TITLES[fix.kind],
        f"{fix.count:,}",
        number(fix.alone_ap, 4),
        points(fix.alone_gain, 2, sign=True),
        points(fix.gain, 2, sign=True),
        number(fix.ap, 4),
    )


def _steps_chart(found: Taxonomy) -> Markup:
    """The curves at one threshold, after each correction."""
    lines = []
    for i, fix in enumerate(found.fixes):
        chosen = [one for one in fix.curves.by_threshold if abs(one.threshold - _STEP_THRESHOLD) < 1e-6]
        if chosen:
            tone = ramp(i / max(len(found.fixes) - 1, 1))
            lines.append(Line(f"+ {TITLES[fix.kind].lower()}", _curve(fix.curves.recalls, chosen[0]), tone))
    return line_chart(
        "One correction after the other",
        lines,
        Axis("recall", 0, 1),
        Axis("precision", 0, 1, _three),
        note=f"Precision and recall at OKS {_STEP_THRESHOLD:.2f}, each curve with all corrections up to its own.",
    )


def _paired(found: Taxonomy) -> str:
    return (
        f"{found.paired:,} annotated persons were found at OKS 0.1 or more; {found.good:,} of their {found.labelled:,} "
        f"labelled joints are good. {found.duplicates:,} of the false positives lie on a person whom another one fits "
        "better."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Groups


def _group_chart(found: Grouping) -> Markup:
    there = [group for group in found.groups if group.persons]
    names = [group.name for group in there]
    counts = ", ".join(f"{group.name}: {group.persons:,}" for group in there)
    bars = [
        Bars("AP", [_there(group.ap) for group in there]),
        Bars("AR", [_there(group.ar) for group in there], "tone-3"),
    ]
    return bar_chart(_titled(found), names, bars, Axis("", 0, 1, _three), note=f"Persons: {counts}.")


def _titled(found: Grouping) -> str:
    return f"{found.title} ({found.unit})" if found.unit else found.title


def _group_row(group: Group) -> Sequence[Child]:
    return (
        group.name,
        f"{group.persons:,}",
        f"{group.paired:,}",
        number(group.mean_oks),
        number(group.ap),
        number(group.ap50),
        number(group.ap75),
        number(group.ar),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def _curve(recalls: Sequence[float], one: PrecisionRecall) -> list[tuple[float, float | None]]:
    """Ends where the curve comes down to 0: a recall beyond that was not reached."""
    values = [value if value >= 0 else 0.0 for value in one.precision]
    end = next((i for i in range(len(values)) if not any(values[i:])), len(values))
    return list(zip(recalls[: end + 1], values[: end + 1], strict=True))


def _there(value: float | None) -> float | None:
    """None also for COCO's -1."""
    return None if value is None or value < 0 else value


def _percents(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _share(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _words(joint: str) -> str:
    return joint.replace("_", " ")


def _one(value: float) -> str:
    return f"{value:.1f}".replace("-", "\u2212")


def _two(value: float) -> str:
    return f"{value:.2f}"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\u2212") if value else "0"
