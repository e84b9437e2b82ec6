"""Charts as SVG. Their places are shares of the width, so that they fill any page and their letters keep their size.

The SVG is the plot area alone; what stands around it (names, ticks) is drawn outside of it into margins that the style
leaves free. Curves, whose points cannot be given in percent, lie in an inner SVG that is stretched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.evaluation.report.page import NOTHING, details, table

TONES = ("tone-1", "tone-2", "tone-3", "tone-4", "tone-5", "tone-6")
_RAMP = 10  # steps of the scale of one colour in the style
_STRIPS = 51  # places of a line chart that show their numbers under the pointer
_LETTER = 7.2  # pixels, about
_MOST_LABEL = 150  # pixels
_VALUE = 44  # pixels, for a number beside its bar

Form = Callable[[float], str]


def plain(value: float) -> str:
    """A number in at most four digits, with a true minus sign."""
    return f"{value:.4g}".replace("-", "\u2212")


@dataclass(frozen=True)
class Axis:
    """low, high: its ends; where not given, chosen for the data. form: how values are written; tick: the axis' own."""

    title: str = ""
    low: float | None = None
    high: float | None = None
    form: Form = plain
    tick: Form = plain


@dataclass(frozen=True)
class Line:
    """A curve through (x, y); a y of None is a gap. tone: one of TONES, or `ramp`; by default by its place.

    dashed: for what is a reference and no measurement. dots: mark the points.
    """

    label: str
    points: Sequence[tuple[float, float | None]]
    tone: str = ""
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Bars:
    """One value per name of a bar chart; None where there is none. low, high: ends of intervals, as long."""

    label: str
    values: Sequence[float | None]
    tone: str = ""
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


def ramp(share: float) -> str:
    """The tone at a place, 0 to 1, of a scale of one colour: for curves that are steps of one quantity."""
    return f"ramp-{min(_RAMP - 1, max(0, round(share * (_RAMP - 1))))}"


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, *, note: Child = None, height: int = 240) -> Markup:
    """Curves over a common x. title: what it shows, in a few words. note: a sentence under it. height: pixels."""
    xs = [at for line in lines for at, _ in line.points]
    ys = [value for line in lines for _, value in line.points if value is not None]
    across, up = _scale(x, xs), _scale(y, ys)
    tones = [line.tone or TONES[i % len(TONES)] for i, line in enumerate(lines)]
    drawn = [
        _rows_grid(up, y.tick),
        _columns_grid(across, x.tick),
        _axis_titles(x.title, y.title),
        element(
            "svg",
            [_curve(line, tone, across, up) for line, tone in zip(lines, tones, strict=True)],
            viewBox="0 0 1000 1000",
            preserveAspectRatio="none",
            width="100%",
            height="100%",
            class_="curves",
        ),
        [_dots(line, tone, across, up) for line, tone in zip(lines, tones, strict=True) if line.dots],
        _strips(lines, across, x, y),
    ]
    left = max([len(y.tick(tick)) for tick in up.ticks], default=1) * _LETTER + 12
    head = [x.title or "x", *(line.label for line in lines)]
    numbers = table(head, _numbers(lines, x, y), caption=title)
    keys = [(line.label, f"{tone} dashed" if line.dashed else tone) for line, tone in zip(lines, tones, strict=True)]
    return _figure(title, note, keys, drawn, numbers, height, f"--left:{round(left)}px;--below:44px", "plot")


def bar_chart(
    title: str,
    names: Sequence[str],
    bars: Sequence[Bars],
    axis: Axis,
    *,
    note: Child = None,
    stacked: bool = False,
) -> Markup:
    """Horizontal bars, a row for each name, one bar in it for each of ``bars``; ``stacked``: one after the other.

    Values below 0 go to the left. A bar with ``low`` and ``high`` shows them as an interval.
    """
    tones = [one.tone or TONES[i % len(TONES)] for i, one in enumerate(bars)]
    extent = _extent(names, bars, stacked)
    scale = _scale(axis, extent, rounded=False)
    aside = 8 + (_VALUE if min([*extent, 0.0]) < 0 else 0)  # a bar to the left has its number there
    thick = 16 if stacked or len(bars) == 1 else 11
    step = thick + 12 if stacked or len(bars) == 1 else len(bars) * (thick + 2) + 12
    rows: list[Child] = []
    for row, name in enumerate(names):
        top = row * step + 6
        middle = row * step + step / 2
        rows.append(element("text", _short(name), x=-aside, y=middle, class_="name"))
        if stacked:
            rows.append(_stack(name, row, bars, tones, scale, axis, top, thick))
        else:
            for i, (one, tone) in enumerate(zip(bars, tones, strict=True)):
                rows.append(_bar(name, row, one, tone, scale, axis, top + i * (thick + 2), thick))
    drawn = [_columns_grid(scale, axis.tick), _axis_titles(axis.title, ""), _zero(scale), rows]
    left = min(_MOST_LABEL, max([len(name) for name in names], default=1) * _LETTER) + aside + 4
    cells = [[name, *(_cell(one, row, axis) for one in bars)] for row, name in enumerate(names)]
    numbers = table(["", *(one.label for one in bars)], cells, caption=title)
    keys = [(one.label, tone) for one, tone in zip(bars, tones, strict=True)]
    margin = f"--left:{round(left)}px;--below:{44 if axis.title else 26}px"
    return _figure(title, note, keys, drawn, numbers, max(step * len(names), 30), margin, "plot bars")


# ---------------------------------------------------------------------------------------------------------------------
# Scales


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one; values beyond stay at the end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def _scale(axis: Axis, values: Sequence[float], rounded: bool = True) -> _Scale:
    """rounded: ends that the axis does not give lie on ticks, else at the data."""
    finite = [value for value in values if math.isfinite(value)]
    low = min([*finite, 0.0]) if axis.low is None else axis.low
    high = max([*finite, 0.0]) if axis.high is None else axis.high
    if not high > low:
        high = low + 1.0
    step = _step((high - low) / 5)
    if rounded and axis.low is None:
        low = math.floor(low / step + 1e-9) * step
    if rounded and axis.high is None:
        high = math.ceil(high / step - 1e-9) * step
    first = math.ceil(low / step - 1e-9)
    ticks: list[float] = []
    while (first + len(ticks)) * step <= high + 1e-9 * step:
        ticks.append((first + len(ticks)) * step)
    return _Scale(low, high, tuple(ticks))


def _step(least: float) -> float:
    """The next of 1, 2, 5, 10, ... (times a power of ten) that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


# ---------------------------------------------------------------------------------------------------------------------
# Around the plot


def _figure(
    title: str,
    note: Child,
    keys: Sequence[tuple[str, str]],
    drawn: Child,
    numbers: Markup,
    height: float,
    margin: str,
    kind: str,
) -> Markup:
    """keys: of the legend, label and tone. margin: the style's variables for the room left of and below the plot."""
    label = f"{title}. The numbers follow."
    plot = element("svg", drawn, role="img", aria_label=label, height=round(height), width="100%")
    legend = [element("li", element("span", class_=f"key {tone}"), text) for text, tone in keys]
    return element(
        "figure",
        element("figcaption", title, None if note is None else element("span", note, class_="note")),
        element("ul", legend, class_="legend") if len(keys) > 1 else None,
        element("div", plot, class_=kind, style=margin),
        details("Numbers", numbers),
        class_="chart",
    )


def _rows_grid(scale: _Scale, form: Form) -> list[Markup]:
    drawn = []
    for tick in scale.ticks:
        at = _percent(1 - scale.share(tick))
        drawn.append(element("line", x1=0, x2="100%", y1=at, y2=at, class_="grid"))
        drawn.append(element("text", form(tick), x=-8, y=at, class_="tick left"))
    return drawn


def _columns_grid(scale: _Scale, form: Form) -> list[Markup]:
    drawn = []
    for tick in scale.ticks:
        at = _percent(scale.share(tick))
        drawn.append(element("line", x1=at, x2=at, y1=0, y2="100%", class_="grid"))
        drawn.append(element("text", form(tick), x=at, y="100%", dy=18, class_="tick"))
    return drawn


def _axis_titles(x: str, y: str) -> list[Markup]:
    drawn = []
    if x:
        drawn.append(element("text", x, x="50%", y="100%", dy=36, class_="axis"))
    if y:
        drawn.append(element("text", y, x=0, y=-10, class_="axis start"))
    return drawn


def _short(name: str) -> str:
    most = int(_MOST_LABEL / _LETTER) - 1
    return name if len(name) <= most else name[: most - 1] + "…"


# ---------------------------------------------------------------------------------------------------------------------
# Curves


def _curve(line: Line, tone: str, across: _Scale, up: _Scale) -> list[Markup]:
    drawn = []
    for piece in _pieces(line.points):
        at = " ".join(f"{1000 * across.share(x):.4g},{1000 * (1 - up.share(y)):.4g}" for x, y in piece)
        drawn.append(element("polyline", points=at, class_=f"curve {tone}{' dashed' if line.dashed else ''}"))
    return drawn


def _pieces(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """What lies between the gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None or not math.isfinite(y):
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]


def _dots(line: Line, tone: str, across: _Scale, up: _Scale) -> list[Markup]:
    return [
        element("circle", cx=_percent(across.share(at)), cy=_percent(1 - up.share(value)), r=4, class_=f"dot {tone}")
        for at, value in line.points
        if value is not None and math.isfinite(value)
    ]


def _strips(lines: Sequence[Line], across: _Scale, x: Axis, y: Axis) -> list[Markup]:
    """Upright strips that nobody sees; under the pointer the script shows the numbers there."""
    places = _thinned(sorted({at for line in lines for at, _ in line.points}))
    values = [dict(line.points) for line in lines]
    strips = []
    for i, at in enumerate(places):
        before = (places[i - 1] + at) / 2 if i else at
        after = (places[i + 1] + at) / 2 if i + 1 < len(places) else at
        low, high = across.share(before), across.share(after)
        here = [(line.label, of.get(at)) for line, of in zip(lines, values, strict=True)]
        told = [f"{label}: {y.form(value)}" for label, value in here if value is not None]
        place = {"x": _percent(low), "width": _percent(high - low), "y": "0", "height": "100%"}
        tip = "\n".join([f"{x.title} {x.form(at)}".strip(), *told])
        strips.append(element("rect", class_="strip", data_tip=tip, **place))
    return strips


def _thinned(places: list[float]) -> list[float]:
    return places if len(places) <= _STRIPS else places[:: math.ceil(len(places) / _STRIPS)]


def _numbers(lines: Sequence[Line], x: Axis, y: Axis) -> list[list[Child]]:
    """The rows of the table: every place, or for long curves every so many."""
    places = sorted({at for line in lines for at, _ in line.points})
    shown = places if len(places) <= 25 else places[:: math.ceil(len(places) / 25)]
    values = [dict(line.points) for line in lines]
    return [[x.form(at), *(_written(of.get(at), y.form) for of in values)] for at in shown]


def _written(value: float | None, form: Form) -> str:
    return NOTHING if value is None or not math.isfinite(value) else form(value)


# ---------------------------------------------------------------------------------------------------------------------
# Bars


def _extent(names: Sequence[str], bars: Sequence[Bars], stacked: bool) -> list[float]:
    if stacked:
        return [sum(one.values[row] or 0.0 for one in bars) for row in range(len(names))]
    columns = [column for one in bars for column in (one.values, one.low, one.high)]
    return [value for column in columns for value in column if value is not None]


def _bar(name: str, row: int, bars: Bars, tone: str, scale: _Scale, axis: Axis, top: float, thick: int) -> list[Markup]:
    value = bars.values[row]
    middle = top + thick / 2
    zero = scale.share(0.0)
    if value is None or not math.isfinite(value):
        return [element("text", NOTHING, x=_percent(zero), dx=6, y=middle, class_="value")]
    at = scale.share(value)
    tip = f"{name}\n{bars.label}: {_cell(bars, row, axis)}"
    drawn = [
        element(
            "rect",
            x=_percent(min(zero, at)),
            width=_percent(abs(at - zero)),
            y=top,
            height=thick,
            rx=2,
            class_=f"bar {tone}",
            data_tip=tip,
        )
    ]
    low, high = _interval(bars, row)
    ends = [at]
    if low is not None and high is not None:
        ends += [scale.share(low), scale.share(high)]
        drawn.append(_whisker(ends[1], ends[2], middle, middle))
        drawn += [_whisker(end, end, middle - 4, middle + 4) for end in ends[1:]]
    if value < 0:
        drawn.append(element("text", axis.form(value), x=_percent(min(ends)), dx=-6, y=middle, class_="value end"))
    else:
        drawn.append(element("text", axis.form(value), x=_percent(max(ends)), dx=6, y=middle, class_="value"))
    return drawn


def _whisker(x1: float, x2: float, y1: float, y2: float) -> Markup:
    return element("line", x1=_percent(x1), x2=_percent(x2), y1=y1, y2=y2, class_="whisker")


def _stack(
    name: str, row: int, bars: Sequence[Bars], tones: Sequence[str], scale: _Scale, axis: Axis, top: float, thick: int
) -> list[Markup]:
    drawn: list[Markup] = []
    at = 0.0
    for one, tone in zip(bars, tones, strict=True):
        value = one.values[row] or 0.0
        low, high = scale.share(at), scale.share(at + value)
        at += value
        if high > low:
            tip = f"{name}\n{one.label}: {axis.form(value)}"
            drawn.append(
                element(
                    "rect",
                    x=_percent(low),
                    width=_percent(high - low),
                    y=top,
                    height=thick,
                    class_=f"bar part {tone}",
                    data_tip=tip,
                )
            )
    return drawn


def _zero(scale: _Scale) -> Markup:
    at = _percent(scale.share(0.0))
    return element("line", x1=at, x2=at, y1=0, y2="100%", class_="zero")


def _interval(bars: Bars, row: int) -> tuple[float | None, float | None]:
    return (bars.low[row] if bars.low else None), (bars.high[row] if bars.high else None)


def _cell(bars: Bars, row: int, axis: Axis) -> str:
    text = _written(bars.values[row], axis.form)
    low, high = _interval(bars, row)
    return text if low is None or high is None else f"{text} ({axis.form(low)} to {axis.form(high)})"
