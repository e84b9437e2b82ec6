"""People over a picture, as SVG in the picture's own pixels: sharp at any size, and each layer can be hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.skeleton import COCO17, Skeleton

Points = NDArray[np.floating]  # (K, 3): x, y, and a value that is 0 where there is no joint

_LIMB_SHARE = 0.016  # a limb's thickness, in the larger side of a person's box
_LEAST_SHARE = 0.0032  # and at least this much of the picture's larger side
_TRUTH_SHARE = 3.3  # of a found person's limbs: the ground truth shows on both sides of those that lie on it
WEAK = 0.2  # score; a stranger below it is shown on demand, since networks leave many of them
_FAINT = 0.2  # of a person's highest joint value
_MARK_SHARE = 0.6  # of that: marks are finer than people
_FAR = 1e6  # pixels; browsers lose their way beyond
_SIDES = ("left", "right", "middle")


@dataclass(frozen=True, eq=False)
class Drawn:
    """A person to draw. points: (K, 3) x, y, value. words: shown under the pointer.

    offsets: joints that are wrong, each with the point where it should be; they may be joints without a value.
    boxed: a box around the person says that something is wrong with all of it. weak: it is in the layer of that name.
    """

    points: Points
    words: str = ""
    offsets: Mapping[int, tuple[float, float]] | None = None
    boxed: bool = False
    weak: bool = False


def overlay(
    size: tuple[int, int],
    picture: Markup | None,
    truth: Sequence[Drawn],
    found: Sequence[Drawn],
    label: str,
    skeleton: Skeleton = COCO17,
) -> Markup:
    """An SVG of the picture's size (width, height) with people over it.

    picture: an SVG image or a reference to one; None: a grey canvas. label: for screen readers.
    """
    width, height = size
    unit = max(size)
    layers = [
        element("g", [_wide_person(one, skeleton, unit) for one in truth], class_="truth"),
        element("g", [_person(one, skeleton, unit) for one in found], class_="found"),
        element("g", [_marks(one, unit) for one in (*truth, *found)], class_="marks"),
    ]
    canvas = element("rect", width=width, height=height, class_="canvas") if picture is None else picture
    return element("svg", canvas, layers, viewBox=f"0 0 {width} {height}", role="img", aria_label=label)


def image(uri: str, size: tuple[int, int], name: str | None = None) -> Markup:
    """A picture as SVG, stretched to ``size``. name: for `same_image`, unique in the page."""
    width, height = size
    return element("image", href=uri, width=width, height=height, preserveAspectRatio="none", id=name)


def same_image(name: str) -> Markup:
    """The `image` of that name once more, without its bytes."""
    return element("use", href=f"#{name}")


def without_faint(points: Points) -> Points:
    """With the value 0 for joints that are hardly there: guesses, which would clutter the drawing."""
    values = points[:, 2]
    shown = values >= _FAINT * values.max(initial=0.0)
    return np.column_stack([points[:, :2], np.where(shown, values, 0.0)])


def _person(person: Drawn, skeleton: Skeleton, unit: int) -> Markup | None:
    points = person.points
    seen = _seen(points)
    if not seen.any():
        return None
    thick = _thickness(points[seen, :2], unit)
    limbs = [limb for limb in skeleton.limbs if seen[limb[0]] and seen[limb[1]]]
    sides = [_side(skeleton, k) for k in range(len(skeleton))]
    joints = np.flatnonzero(seen).tolist()
    drawn: list[Child] = []
    if limbs:
        drawn.append(_path(_lines(points, limbs), "limb back", 1.8 * thick))
    drawn.append(_path(_spots(points, joints), "limb back", 3.0 * thick))
    for side in _SIDES:
        own = [limb for limb in limbs if _limb_side(sides[limb[0]], sides[limb[1]]) == side]
        if own:
            drawn.append(_path(_lines(points, own), f"limb side-{side}", thick))
    for side in _SIDES:
        dots = [k for k in joints if sides[k] == side]
        if dots:
            drawn.append(_path(_spots(points, dots), f"limb side-{side}", 2.2 * thick))
    return element("g", drawn, class_="person weak" if person.weak else "person", data_tip=person.words or None)


def _wide_person(person: Drawn, skeleton: Skeleton, unit: int) -> Markup | None:
    """An annotated person, of one colour, so wide that found people with their dark edges do not cover it."""
    seen = _seen(person.points)
    if not seen.any():
        return None
    thick = _TRUTH_SHARE * _thickness(person.points[seen, :2], unit)
    limbs = [limb for limb in skeleton.limbs if seen[limb[0]] and seen[limb[1]]]
    at = _lines(person.points, limbs) + _spots(person.points, np.flatnonzero(seen).tolist())
    drawn = [_path(at, "limb back", 1.2 * thick), _path(at, "limb", thick)]
    return element("g", drawn, class_="person weak" if person.weak else "person", data_tip=person.words or None)


def _marks(person: Drawn, unit: int) -> Markup | None:
    """A line from each wrong joint to where it should be, a ring around it, a box around a wrong person."""
    points = person.points
    seen = _seen(points)
    if not seen.any() or not (person.offsets or person.boxed):
        return None
    thick = _MARK_SHARE * _thickness(points[seen, :2], unit)
    drawn = []
    for joint, (x, y) in (person.offsets or {}).items():
        if not np.isfinite(points[joint, :2]).all():
            continue
        at = f"M{_at(points[joint])}L{x:.1f} {y:.1f}"
        drawn.append(_path(at, "offset back", 2.0 * thick))
        drawn.append(_path(at, "offset", thick))
        ring = {"cx": f"{points[joint, 0]:.1f}", "cy": f"{points[joint, 1]:.1f}", "r": f"{4.2 * thick:.1f}"}
        drawn.append(element("circle", class_="wrong", stroke_width=f"{thick:.2f}", **ring))
    if person.boxed:
        low, high = points[seen, :2].min(axis=0) - 5 * thick, points[seen, :2].max(axis=0) + 5 * thick
        box = {"x": low[0], "y": low[1], "width": high[0] - low[0], "height": high[1] - low[1]}
        sides = {name: f"{value:.1f}" for name, value in box.items()}
        dashes = f"{5 * thick:.1f} {4 * thick:.1f}"
        drawn.append(element("rect", class_="wrong", stroke_width=f"{thick:.2f}", stroke_dasharray=dashes, **sides))
    return element("g", drawn, class_="weak" if person.weak else None)


def _seen(points: Points) -> NDArray[np.bool_]:
    seen: NDArray[np.bool_] = (points[:, 2] > 0) & np.isfinite(points).all(axis=1)
    return seen


def _thickness(points: Points, unit: int) -> float:
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    return max(_LIMB_SHARE * min(extent, 2.0 * unit), _LEAST_SHARE * unit)


def _side(skeleton: Skeleton, joint: int) -> str:
    return next((side for side in ("left", "right") if skeleton.joints[joint].startswith(side)), "middle")


def _limb_side(a: str, b: str) -> str:
    """A limb from the middle to a side belongs to the side, one across to none."""
    sides = {a, b} - {"middle"}
    return sides.pop() if len(sides) == 1 else "middle"


def _path(at: str, kind: str, width: float) -> Markup:
    return element("path", d=at, class_=kind, stroke_width=f"{width:.2f}")


def _lines(points: Points, limbs: Iterable[tuple[int, int]]) -> str:
    return "".join(f"M{_at(points[a])}L{_at(points[b])}" for a, b in limbs)


def _spots(points: Points, joints: Iterable[int]) -> str:
    """Lines of no length, which round ends make dots of."""
    return "".join(f"M{_at(points[k])}h0" for k in joints)


def _at(point: NDArray[np.floating]) -> str:
    x, y = (min(max(float(value), -_FAR), _FAR) for value in point[:2])
    return f"{x:.1f} {y:.1f}"
