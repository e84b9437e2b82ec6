"""The frame of a report: a page with sections, tables, figures in a row; style and script stand in the page itself."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from hrnetae.evaluation.report.markup import Child, Markup, element, together

NOTHING = "–"  # where there is no number


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading of its own and a line in the contents. anchor: unique in the page."""

    title: str
    anchor: str
    body: Markup


def section(title: str, *body: Child, anchor: str | None = None, intro: Child = None) -> Section:
    """intro: a sentence or two under the heading. anchor: by default the title in small letters and dashes."""
    name = anchor or re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    lead = element("p", intro, class_="intro") if intro is not None else None
    return Section(title, name, together((lead, body)))


def page(title: str, sections: Sequence[Section], *, subtitle: Child = None, head: Child = None) -> str:
    """The whole document. subtitle: under the title. head: before the first section, such as `tiles`.

    The page asks for nothing: its content policy forbids it to load anything, or to run another script than its own.
    """
    style, script = _file("style.css"), _file("script.js")
    contents = [element("li", element("a", part.title, href=f"#{part.anchor}")) for part in sections]
    body = [
        element("a", "Skip to the content", href="#content", class_="skip"),
        element(
            "header",
            element("div", element("h1", title), subtitle and element("p", subtitle, class_="subtitle")),
            element("button", "Dark", type="button", id="theme", aria_pressed="false", hidden=True),
            class_="top",
        ),
        element(
            "div",
            element("nav", element("ul", contents), aria_label="Contents"),
            element("main", head, map(_section, sections), id="content", tabindex="-1"),
            class_="frame",
        ),
    ]
    document = element("html", _head(title, style, script), element("body", body, _script(script)), lang="en")
    return f"<!doctype html>\n{document}\n"


def table(
    head: Sequence[Child],
    rows: Sequence[Sequence[Child]],
    *,
    caption: str,
    numbers: bool = True,
    show_caption: bool = False,
) -> Markup:
    """A table whose first column names its rows. Wider than the page it scrolls by itself.

    head: names of the columns; all empty: no head. caption: what the table is, for screen readers; also shown with
    ``show_caption``. numbers: the other columns are numbers, which stand right.
    """
    body = [
        element("tr", element("th", row[0], scope="row"), [element("td", cell) for cell in row[1:]]) for row in rows
    ]
    content = element(
        "table",
        element("caption", caption, class_=None if show_caption else "unseen"),
        element("thead", element("tr", [element("th", cell, scope="col") for cell in head])) if any(head) else None,
        element("tbody", body),
        class_="numbers" if numbers else None,
    )
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def tiles(values: Sequence[tuple[str, str, str]]) -> Markup:
    """Large figures in a row. values: (name, figure, a few words under it or nothing)."""
    parts = [
        element("div", element("dt", name), element("dd", value, note and element("small", note)), class_="tile")
        for name, value, note in values
    ]
    return element("dl", parts, class_="tiles")


def side_by_side(*parts: Child) -> Markup:
    """Figures beside each other where the page is wide enough, else below each other."""
    return element("div", parts, class_="charts")


def facts(values: Mapping[str, Child], caption: str) -> Markup:
    """Names and what belongs to them, as a table of two columns."""
    return table(("", ""), list(values.items()), caption=caption, numbers=False)


def details(summary: str, *body: Child, is_open: bool = False) -> Markup:
    """Something that is shown when asked for."""
    return element("details", element("summary", summary), body, open=is_open)


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many places; `NOTHING` for None, NaN and COCO's -1."""
    if value is None or value != value or value == -1:
        return NOTHING
    return f"{value:.{digits}f}"


def points(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """A share of 1 in percentage points, without the unit; `NOTHING` where there is none. sign: also a plus."""
    if value is None or value != value:
        return NOTHING
    text = f"{100 * value:+.{digits}f}" if sign else f"{100 * value:.{digits}f}"
    return text.replace("-", "\u2212")


def _section(part: Section) -> Markup:
    heading = f"{part.anchor}-heading"
    return element("section", element("h2", part.title, id=heading), part.body, id=part.anchor, aria_labelledby=heading)


def _head(title: str, style: str, script: str) -> Markup:
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{_digest(script)}'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        # A page without an icon asks the server for one.
        element("link", rel="icon", href="data:,"),
        element("style", Markup(style)),
    )


def _script(script: str) -> Markup:
    return element("script", Markup(script))


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _file(name: str) -> str:
    return (resources.files("hrnetae.evaluation.report") / name).read_text(encoding="utf-8")
