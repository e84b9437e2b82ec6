"""The parts of a comparison's report that show numbers: metrics, people, joints, groups, tag maps."""

from __future__ import annotations

from collections.abc import Sequence

from hrnetae.evaluation.bootstrap import Difference
from hrnetae.evaluation.comparison import FALSE_POSITIVES
from hrnetae.evaluation.comparison_findings import LOST, WON, Column, Comparison, Group, Row
from hrnetae.evaluation.report.charts import TONES, Axis, Bars, bar_chart
from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.evaluation.report.page import (
    NOTHING,
    Section,
    details,
    number,
    points,
    section,
    side_by_side,
    table,
    tiles,
)
from hrnetae.evaluation.tag_statistics import TagStatistics

_MOST_PERSONS = 200  # lost and won ones that a column's table lists
_MOST_DIGITS = 7  # decimals of a difference in points
_FEW = 10  # persons; a group with fewer says little

# Field of TagStatistics, heading, places.
_TAGS = (
    ("joints", "Joints", 0),
    ("heat", "Heat at the joints", 3),
    ("spread", "Spread in a person", 3),
    ("distance", "Distance to the next person", 3),
    ("confused", "Nearer to another person", 4),
    ("beyond", "Beyond 1 of the own person", 4),
    ("levels", "Different tag values", 0),
    ("tag_change", "Change of the tags", 4),
    ("heat_change", "Change of the heat", 5),
)


def head(found: Comparison) -> Markup:
    """The AP of each column, large."""
    row = found.metric("AP")
    notes = ["the baseline", *(_points_and_interval(one) for one in row.differences)]
    values = [
        (f"AP, {name}", number(value, 4), note)
        for name, value, note in zip(found.names, row.values, notes, strict=True)
    ]
    return element("div", element("h2", "AP", class_="unseen"), tiles(values))


def in_short(found: Comparison) -> Section:
    """What a reader should know who reads no further."""
    told = [_column_in_short(found, place) for place in range(1, len(found.columns))]
    return section("In short", element("ul", [element("li", one) for one in told], class_="short"), _remarks(found))


def metrics(found: Comparison) -> Section:
    """COCO's ten, and how sure each difference is."""
    return section(
        "Metrics",
        _difference_chart(
            "Difference to the baseline", found, found.metrics, "Lines: the interval of each difference."
        ),
        _row_table(found, found.metrics, "COCO's metrics; differences in points"),
        intro=f"Intervals of {100 * found.confidence:.0f} % by paired bootstrap: {found.rounds:,} times as many "
        f"pictures are drawn at random as there are, the same ones for every column (seed {found.seed}). A difference "
        "whose interval leaves out 0 has an asterisk. A point is a hundredth. Of many rows, one in twenty has "
        "an asterisk by chance.",
    )


def people(found: Comparison) -> Section:
    """Who is found by one and not by the other."""
    counts = [
        (column.name, *(f"{column.count(kind):,}" for kind in (LOST, WON)), f"{column.changed:,}")
        for column in found.columns[1:]
    ]
    return section(
        "Persons lost and won",
        table(("", "Lost", "Won", "Pictures with any change"), counts, caption="Persons lost and won"),
        _row_table(found, found.people, "All annotated persons"),
        [_person_table(column, found.names[0]) for column in found.columns[1:] if column.changes],
        intro=f"Of {found.annotated:,} annotated persons. Lost: {found.names[0]} has found the person (OKS 0.5 or "
        "more), the other column has not; won: the other way round. In the mean OKS a person without a partner "
        "counts 0.",
    )


def joints(found: Comparison) -> Section:
    """How much each joint's exactness changed."""
    rows = [_renamed(row) for row in found.joints]
    return section(
        "Joints",
        _difference_chart("Difference in similarity", found, rows, "In points of the joint's mean part in OKS."),
        details("All numbers", _row_table(found, rows, "Mean similarity of each joint")),
        intro="Mean similarity of each joint to the ground truth, as in OKS, wherever it is labelled; 0 where its "
        "person was not found.",
    )


def groups(found: Comparison) -> Section:
    """How much changed for which persons."""
    return section(
        "Groups of persons",
        side_by_side(*(_group_chart(found, group) for group in found.groups)),
        details(
            "All numbers",
            [_row_table(found, group.rows, f"Mean OKS by {_titled(group).lower()}") for group in found.groups],
        ),
        intro="Mean OKS of the annotated persons in each group; a person without a partner counts 0. Groups of fewer "
        f"than {_FEW} persons are left out of the charts.",
    )


def tag_maps(found: Comparison) -> Section | None:
    """What the raw outputs say; None where no column has any."""
    columns = [(column.name, column.tags) for column in found.columns if column.tags is not None]
    if not columns:
        return None
    head_row = ["", *(title for _, title, _ in _TAGS)]
    rows = [[name, *_tag_cells(tags)] for name, tags in columns]
    return section(
        "Tag maps",
        table(head_row, rows, caption="Heat and tags at the annotated joints"),
        intro="Read from the raw outputs (without the mirrored ones) at the annotated joints. Spread: how far the "
        "tags of a person's joints lie from their mean (root mean square). Distance: from a person's mean tag to "
        "that of the next one in the picture. The change to the baseline is a root mean square: of the tags at the "
        "joints, of the heat over all cells.",
    )


# ---------------------------------------------------------------------------------------------------------------------
# Charts and tables


def _difference_chart(title: str, found: Comparison, rows: Sequence[Row], note: str) -> Markup:
    bars = []
    for place, name in enumerate(found.names[1:]):
        changes = [row.differences[place] for row in rows]
        bars.append(
            Bars(
                name,
                [None if one is None else 100 * one.value for one in changes],
                TONES[(place + 1) % len(TONES)],
                low=[_hundredfold(None if one is None else one.low) for one in changes],
                high=[_hundredfold(None if one is None else one.high) for one in changes],
            )
        )
    return bar_chart(title, [row.name for row in rows], bars, Axis("points", form=_signed), note=note)


def _group_chart(found: Comparison, group: Group) -> Markup:
    rows = [
        Row(f"{row.name} ({row.persons:,})", row.values, row.differences)
        for row in group.rows
        if row.persons is not None and row.persons >= _FEW
    ]
    if not rows:
        return element("p", f"{_titled(group)}: no group of {_FEW} persons or more.")
    return _difference_chart(_titled(group), found, rows, "Difference in mean OKS, in points; in brackets: persons.")


def _row_table(found: Comparison, rows: Sequence[Row], caption: str) -> Markup:
    titles: list[Child] = ["", found.names[0]]
    for name in found.names[1:]:
        titles += [name, "difference", f"{100 * found.confidence:.0f} % interval"]
    sized = any(row.persons is not None for row in rows)
    if sized:
        titles.insert(1, "persons")
    body = []
    for row in rows:
        cells: list[Child] = [row.name, number(row.values[0], 4)]
        for value, change in zip(row.values[1:], row.differences, strict=True):
            cells += [number(value, 4), *_change_cells(row.name, change)]
        if sized:
            cells.insert(1, None if row.persons is None else f"{row.persons:,}")
        body.append(cells)
    return table(titles, body, caption=caption, show_caption=True)


def _change_cells(name: str, change: Difference | None) -> tuple[Child, Child]:
    if change is None:
        return NOTHING, NOTHING
    # A number of persons is no share, and more of them is worse.
    scale, good = (0.01, -1) if name == FALSE_POSITIVES else (1.0, 1)
    return _marked(change, _amount(change, scale), good), _interval(change, scale)


def _marked(change: Difference, text: str, good: int) -> Child:
    if not change.significant:
        return text
    return element("span", f"{text}*", class_="good" if change.value * good > 0 else "bad")


def _interval(change: Difference, scale: float) -> str:
    if change.low is None or change.high is None:
        return NOTHING
    digits = _digits(change, scale)
    low, high = (points(scale * end, digits, sign=True) for end in (change.low, change.high))
    return f"{low}\u00a0to\u00a0{high}"  # never on two lines


def _amount(change: Difference, scale: float = 1.0) -> str:
    return points(scale * change.value, _digits(change, scale), sign=True)


def _digits(change: Difference, scale: float) -> int:
    """The decimals of a difference and its interval in points."""
    return _enough((change.value, change.low, change.high), 2, scale) if change.significant else 2


def _enough(values: Sequence[float | None], least: int, scale: float = 1.0) -> int:
    """As many decimals as significant values need not to look like 0 in points."""
    parts = [100 * scale * value for value in values if value]
    return next((n for n in range(least, _MOST_DIGITS) if all(round(part, n) for part in parts)), _MOST_DIGITS)


def _person_table(column: Column, baseline: str) -> Markup:
    ordered = sorted(column.changes, key=lambda change: -abs(change.other - change.baseline))
    shown = ordered[:_MOST_PERSONS]
    rows = [
        (
            str(one.annotation_id),
            str(one.image_id),
            one.kind,
            f"{one.area**0.5:.0f}",
            number(one.baseline, 3),
            number(one.other, 3),
        )
        for one in shown
    ]
    titles = ("annotation", "image", "", "size, px", f"OKS, {baseline}", f"OKS, {column.name}")
    more = f" (the {len(shown)} that changed most of {len(ordered):,})" if len(shown) < len(ordered) else ""
    caption = f"Persons lost and won: {column.name}"
    return details(f"The persons of {column.name}{more}", table(titles, rows, caption=caption))


def _tag_cells(tags: TagStatistics) -> list[Child]:
    return [_plain(getattr(tags, name), places) for name, _, places in _TAGS]


def _plain(value: float | None, places: int) -> str:
    return NOTHING if value is None else f"{value:,.{places}f}"


# ---------------------------------------------------------------------------------------------------------------------
# Words


def _column_in_short(found: Comparison, place: int) -> Child:
    row, column = found.metric("AP"), found.columns[place]
    change = row.differences[place - 1]
    persons = f"{_counted(column.count(LOST), 'person')} lost, {column.count(WON):,} won; "
    pictures = f"{_counted(column.changed, 'picture')} of {found.images:,} changed."
    return (
        element("strong", column.name),
        f" {_verdict(change, found.names[0])} {persons}{pictures}{_people_changed(found, place)}",
        _most_changed(found, place),
    )


def _people_changed(found: Comparison, place: int) -> str:
    """What of all persons differs significantly."""
    told = []
    for row in found.people:
        change = row.differences[place - 1]
        if change is not None and change.significant:
            scale, unit = (0.01, "") if row.name == FALSE_POSITIVES else (1.0, " points")
            told.append(f"{row.name} {_amount(change, scale)}{unit}")
    return f" Significant over all persons: {'; '.join(told)}." if told else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _verdict(change: Difference | None, baseline: str) -> str:
    if change is None:
        return "cannot be judged: nobody is to be found."
    if change.value == 0 and not change.significant:
        return f"has exactly the AP of {baseline}."
    if not change.significant:
        return f"is within chance of {baseline}: {_points_and_interval(change)} of AP."
    how = "better" if change.value > 0 else "worse"
    return f"is {how} than {baseline}: {_points_and_interval(change)} of AP."


def _most_changed(found: Comparison, place: int) -> str:
    """The joint and the group with the largest difference that is significant."""
    told = []
    for rows in ([_renamed(row) for row in found.joints], *(_named(group) for group in found.groups)):
        sure = [
            (abs(change.value), row.name, change)
            for row in rows
            if (change := row.differences[place - 1]) is not None
            and change.significant
            and (row.persons is None or row.persons >= _FEW)
        ]
        if sure:
            _, name, change = max(sure, key=lambda one: one[0])
            told.append(f"{name} {points(change.value, _enough((change.value,), 1), sign=True)}")
    return f" Largest significant changes: {'; '.join(told)} points." if told else ""


def _named(group: Group) -> list[Row]:
    title = group.title.lower()
    return [
        Row(f"{title} {row.name} {group.unit}".rstrip(), row.values, row.differences, row.persons) for row in group.rows
    ]


def _remarks(found: Comparison) -> Child:
    return [element("p", f"Note: {remark}.") for remark in found.remarks]


def _points_and_interval(change: Difference | None) -> str:
    if change is None:
        return "no difference"
    interval = "" if change.low is None else f" ({_interval(change, 1.0)})"
    return f"{_amount(change)} points{interval}"


def _renamed(row: Row) -> Row:
    return Row(row.name.replace("_", " "), row.values, row.differences, row.persons)


def _titled(group: Group) -> str:
    return f"{group.title} ({group.unit})" if group.unit else group.title


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _signed(value: float) -> str:
    text = f"{value:+.{2 if abs(value) < 1 else 1}f}"
    return text.replace("-", "\u2212") if text.strip("+-0.") else "0"
