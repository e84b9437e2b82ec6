"""A gallery of pictures: cards with one or more views, filters by what is in them, layers to hide."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.files.errors import DataError
from hrnetae.files.pictures import read_picture, require_cv2

# (name in the style, what is shown, whether it is on at first)
LAYERS = (("truth", "Ground truth", True), ("found", "Found people", True), ("marks", "Error marks", True))
WEAK_LAYER = ("weak", "Weak strangers", False)
_SIDE = 720  # pixels, of an embedded picture's larger side, at most
_QUALITY = 80


@dataclass(frozen=True)
class View:
    """A drawing on a card, with a caption where there are several. size: (width, height) of its picture."""

    drawing: Markup
    size: tuple[int, int]
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """A picture of the gallery. title: its heading. words: under it, as markup.

    values: for each filter's name the choices under which the card is shown. ranks: for some choices a number; when
    such a choice is made, the cards with the larger numbers come first.
    """

    title: str
    views: Sequence[View]
    words: Child = None
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ranks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Filter:
    """One of the choices above a gallery. name: lower-case letters. choices: (value, what is shown)."""

    name: str
    title: str
    choices: Sequence[tuple[str, str]]


def gallery(
    cards: Sequence[Card],
    filters: Sequence[Filter],
    layers: Sequence[tuple[str, str, bool]] = LAYERS,
    *,
    name: str = "gallery",
) -> Markup:
    """The cards, and the filters above them. A choice that no card belongs to is left out. name: unique in the page."""
    controls = [_filter(one, cards, name) for one in filters]
    boxes = [_choice("checkbox", f"{name}-{layer}", layer, text, on, is_layer=True) for layer, text, on in layers]
    hidden = "".join(f" hide-{layer}" for layer, _, on in layers if not on)
    wide = any(len(card.views) > 1 for card in cards)
    return element(
        "div",
        controls,
        element("fieldset", element("legend", "Layers"), boxes, class_="filters", hidden=True),
        element("p", f"{len(cards)} pictures", class_="shown", role="status"),
        element("ul", [_card(card) for card in cards], class_="cards wide" if wide else "cards"),
        element("button", "Show more", type="button", class_="more", hidden=True),
        class_=f"gallery{hidden}",
        id=name,
    )


def embedded(path: Path | None) -> str | None:
    """A picture file as a small JPEG in a data URI; None where it is not at hand or is no picture."""
    if path is None or not path.is_file():
        return None
    try:
        cv2 = require_cv2()
        picture = read_picture(path)
    except DataError:
        return None
    height, width = picture.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode() if done else None


def _filter(one: Filter, cards: Sequence[Card], gallery_name: str) -> Markup:
    choices = [_choice("radio", f"{gallery_name}-{one.name}", "", "All", True, count=len(cards))]
    for value, text in one.choices:
        count = sum(value in card.values.get(one.name, ()) for card in cards)
        if count:
            choices.append(_choice("radio", f"{gallery_name}-{one.name}", value, text, False, count=count))
    return element(
        "fieldset", element("legend", one.title), choices, class_="filters", data_filter=one.name, hidden=True
    )


def _choice(
    kind: str, name: str, value: str, text: str, checked: bool, *, count: int | None = None, is_layer: bool = False
) -> Markup:
    layer = value if is_layer else None
    # autocomplete: some browsers bring back a choice of last time, which would not be what is shown.
    box = element("input", type=kind, name=name, value=value, checked=checked, data_layer=layer, autocomplete="off")
    return element("label", box, text, None if count is None else element("span", count, class_="count"))


def _card(card: Card) -> Markup:
    attributes = {f"data_{name}": " ".join(values) for name, values in card.values.items()}
    ranks = json.dumps(card.ranks) if card.ranks else None
    return element(
        "li",
        element("div", [_view(view, card.title) for view in card.views], class_="views"),
        element("div", element("h3", card.title), card.words, class_="words"),
        class_="card",
        data_ranks=ranks,
        **attributes,
    )


def _view(view: View, title: str) -> Markup:
    label = f"Enlarge {title}" + (f", {view.caption}" if view.caption else "")
    width, height = view.size
    button = element(
        "button", view.drawing, type="button", class_="picture", aria_label=label, data_size=f"{width} {height}"
    )
    return element("figure", button, element("figcaption", view.caption) if view.caption else None, class_="view")
