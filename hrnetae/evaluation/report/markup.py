"""HTML and SVG as nested elements. A string is text and is escaped; only what this module made stands as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TypeAlias


class Markup(str):
    """Finished HTML. Whoever makes one from anything else than a constant has to escape that first."""

    __slots__ = ()


# Text, markup, numbers, nothing, or several of them.
Child: TypeAlias = "str | int | float | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"

_VOID = frozenset(("br", "col", "hr", "img", "input", "link", "meta"))
# What no HTML document may hold, and half pairs, which file names can bring and UTF-8 has no bytes for.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> Markup:
    """Text as it can stand in an element or between the quotes of an attribute."""
    return Markup(html.escape(_UNFIT.sub("\ufffd", text), quote=True))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """``<name ...>children</name>``.

    attributes: underscores stand for dashes, one at the end (``class_``) is left out; True is an attribute without a
    value, None and False are none at all.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{together(children)}</{name}>")


def together(children: Child) -> Markup:
    """One after the other, without anything around them."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return escape(children)
    if isinstance(children, (int, float)):
        return escape(str(children))
    return Markup("".join(map(together, children)))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
