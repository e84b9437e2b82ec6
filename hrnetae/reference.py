"""The associative-embedding decoder in plain NumPy: every pixel computed, one function a step.

This module explains the decoder, and the kernels are tested against it. It favours being read over being fast.
The method is that of Newell et al. 2017 ("Associative Embedding"): a network gives, per joint, a heatmap (where is
such a joint?) and a tag map (whose is it? joints of one person get about the same tag). Cheng et al. 2020
("HigherHRNet") add the flip test, stages and scales; Huang et al. 2020 ("UDP") and Zhang et al. 2020 ("DARK") another
sub-pixel step. Names of functions and parameters follow mmpose. docs/decoder.md tells the story in prose.

K joints; W x H pixels of the decoded maps; L tag values a pixel (2 with flip test, else 1); P persons. A person is K
rows of (x, y, value, tags...), all zero for a joint that was not found.
Bad numbers: a heat that is NaN or infinite lies below everything; a tag that is NaN or infinite belongs to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrnetae import reference_options as options
from hrnetae.params import DecodeParams
from hrnetae.reference_maps import Float32, Float64, Ints, Scales, Size, finite_or_below
from hrnetae.reference_maps import first_stage_size as first_stage_size
from hrnetae.reference_maps import fma as fma
from hrnetae.reference_maps import project as project
from hrnetae.reference_maps import resize_bilinear as resize_bilinear
from hrnetae.reference_maps import undo_flip as undo_flip
from hrnetae.skeleton import COCO17, Skeleton, default_joint_order
from hrnetae.types import TopK

DEFAULTS = DecodeParams()
FLT_MAX = float(np.finfo(np.float32).max)
PADDING_COST = 1e10  # of a column that stands for "no person"; so large that it swallows low digits
DARK_EPS = 2.0**-23  # added to the Hessian's diagonal


class Steps(NamedTuple):
    """What every step left behind, for looking at and for tests; the maps are those of `project`."""

    heatmaps: Float32  # (K, H, W)
    tags: Float32  # (K or 1, H, W, L)
    candidates: TopK
    grouped: Float32  # (P, K, 3 + L), as are the next two
    adjusted: Float32
    refined: Float32


class Decoded(NamedTuple):
    """The people of one image.

    keypoints: (P, K, 3) float32: x, y in pixels of the image, joint value (heat).
    scores: (P,) float32, or (P, K) with ``score_per_joint``.
    tags: (P, K, L) float32; 0 for joints that grouping did not find.
    """

    keypoints: Float32
    scores: Float32
    tags: Float32


def decode(
    output: Any,
    flipped: Any,
    image_size: Size,
    params: DecodeParams = DEFAULTS,
    skeleton: Skeleton = COCO17,
    scales: Scales = None,
) -> Decoded:
    """The people of one image, from the network's raw outputs: all steps in a row.

    output, flipped, scales: see `project`. image_size: (width, height) in pixels of the picture that was letterboxed.
    ValueError or TypeError for arguments that do not fit; bad numbers in the maps are no error.
    """
    steps = decode_steps(output, flipped, image_size, params, skeleton, scales)
    map_size = (steps.heatmaps.shape[2], steps.heatmaps.shape[1])
    if params.subpixel == "fit":
        refined = options.fit_positions(steps.refined, output, flipped, map_size, params, skeleton, scales)
        steps = steps._replace(refined=refined)
    if params.exact_geometry and params.input_size is None:
        width, height = first_stage_size(output, params, skeleton, scales)
        params = params.replace(input_size=(4 * width, 4 * height))
    decoded = results(steps, image_size, params)
    if params.rescoring is not None:
        found = steps.adjusted[..., 2] > 0
        features = options.person_features(decoded.keypoints, decoded.tags, found, image_size, skeleton)
        total = params.rescoring.bias + features @ np.array(params.rescoring.weights)
        decoded = decoded._replace(scores=(1 / (1 + np.exp(-np.clip(total, -500, 500)))).astype(np.float32))
    if params.suppress_oks < 1:
        kept = options.kept_persons(decoded.keypoints, decoded.scores, params.suppress_oks, skeleton)
        decoded = Decoded(*(column[kept] for column in decoded))
    return decoded


def decode_steps(
    output: Any, flipped: Any, image_size: Size, params: DecodeParams, skeleton: Skeleton, scales: Scales = None
) -> Steps:
    """As `decode`, up to the way back to the image, with what each step made."""
    heatmaps, tags = project(output, flipped, image_size, params, skeleton, scales)
    candidates = top_k(heatmap_nms(heatmaps, params.nms_kernel), tags, params.max_num_people)
    if params.tag_window > 1:
        candidates = options.average_tags(candidates, tags, params.tag_window)
    grouped = group_by_tag(*candidates, params, skeleton.joint_order)
    # mmpose 1.x shifts found joints by center_shift even when it leaves the quarter step out.
    adjusted = adjust(grouped, heatmaps, params) if params.adjust or params.mode == "mmpose1" else grouped
    refined = refine(adjusted, heatmaps, tags, params) if params.refine else adjusted
    return Steps(heatmaps, tags, candidates, grouped, adjusted, refined)


def results(steps: Steps, image_size: Size, params: DecodeParams = DEFAULTS) -> Decoded:
    """Scores and image coordinates of decoded steps."""
    # The mean is taken before joints are filled in. With score_per_joint, mmpose 0.x keeps views, in which the filling
    # in shows afterwards; mmpose 1.x copies.
    late = params.score_per_joint and params.mode == "reference"
    scores = person_scores(steps.refined if late else steps.adjusted, params)
    map_size = (steps.heatmaps.shape[2], steps.heatmaps.shape[1])
    x, y = back_project(steps.refined[..., 0], steps.refined[..., 1], map_size, image_size, params)
    return Decoded(np.stack([x, y, steps.refined[..., 2]], axis=-1), scores, steps.refined[..., 3:].copy())


# -------------------------------------------------------------------------------------------- steps 3 and 4: peaks


def heatmap_nms(heatmaps: Float32, kernel: int = 5) -> Float32:
    """Pixels of (K, H, W) that equal the maximum of the kernel x kernel window around them; all others become 0.

    Max pooling with stride 1; nothing outside the map counts. Equality keeps EVERY pixel of a plateau, and negative
    maxima survive too. NaN and infinite pixels never do. kernel: odd.
    """
    heat = finite_or_below(heatmaps)
    reach = kernel // 2
    maximum = np.pad(heat, ((0, 0), (reach, reach), (reach, reach)), constant_values=-np.inf)
    for axis in (1, 2):
        maximum = _running_maximum(maximum, kernel, axis)
    return np.where((heat == maximum) & (heat > -np.inf), heat, np.float32(0))


def _running_maximum(maps: Float32, kernel: int, axis: int) -> Float32:
    windows = np.moveaxis(maps, axis, 0)
    length = len(windows) - kernel + 1
    result = windows[:length].copy()
    for shift in range(1, kernel):
        np.maximum(result, windows[shift : shift + length], out=result)
    return np.moveaxis(result, 0, axis)


def top_k(heatmaps: Float32, tags: Float32, max_num_people: int = 30) -> TopK:
    """The best max_num_people pixels of every map, and their tags.

    heatmaps: (K, H, W) float32 after `heatmap_nms`. tags: (K or 1, H, W, L) float32.
    Equal values (0.0 and -0.0 are) keep row-major order: y, then x. Fewer pixels than asked for: all of them.
    """
    count, height, width = heatmaps.shape
    kept = min(max_num_people, height * width)
    chosen = np.empty((count, kept), np.int64)
    flat = finite_or_below(heatmaps).reshape(count, -1)
    for best, values in zip(chosen, flat, strict=True):
        last = np.partition(values, values.size - kept)[values.size - kept]
        above = np.flatnonzero(values > last)
        level = np.flatnonzero(values == last)[: kept - above.size]
        best[:] = np.concatenate([above[np.argsort(-values[above], kind="stable")], level])
    y, x = chosen // width, chosen % width
    joint = np.arange(count)[:, None]
    values = np.take_along_axis(flat, chosen, axis=1)
    return TopK(values, x.astype(np.int32), y.astype(np.int32), tags[joint % len(tags), y, x])


# ------------------------------------------------------------------------------------------------ step 5: grouping


def assign(cost: Float64) -> list[tuple[int, int]]:
    """A cheapest pairing of rows with columns: the one that munkres 1.1.4 finds among equally cheap ones.

    cost: (R, C) float64, R <= C, magnitudes up to 1e150 (else ValueError). Returns R pairs (row, column), by row.

    Kuhn-Munkres. With costs that are rounded, ties are the rule, and which pairing comes out hangs on the order of
    every search and on the rounding of every addition. So this follows the package's steps literally.
    """
    real_rows, n = cost.shape
    if real_rows > n:
        raise ValueError(f"cost: shape {cost.shape}, expected no more rows than columns")
    if not (np.abs(cost) <= 1e150).all():  # NaN or an overflow to inf would make the search below endless
        raise ValueError("cost: expected finite numbers of no more than 1e150")
    rest = np.zeros((n, n), np.float64)
    rest[:real_rows] = cost
    if n:
        rest -= rest.min(axis=1, keepdims=True)
    star_in_row, star_in_column = [-1] * n, [-1] * n
    for row in range(n):
        for column in map(int, np.flatnonzero(rest[row] == 0)):
            if star_in_column[column] < 0:
                star_in_row[row], star_in_column[column] = column, row
                break
    while -1 in star_in_column:
        row_covered = np.zeros(n, np.bool_)
        column_covered = np.array(star_in_column) >= 0
        prime_in_row = [-1] * n
        start = (0, 0)
        while True:
            place = _find_zero((rest == 0) & ~row_covered[:, None] & ~column_covered, start)
            if place is None:
                # No uncovered zero: make one. Adding and subtracting at doubly affected elements is not a no-op.
                smallest = rest[~row_covered][:, ~column_covered].min()
                rest[row_covered] += smallest
                rest[:, ~column_covered] -= smallest
                start = (0, 0)
                continue
            row, column = place
            prime_in_row[row] = column
            star = star_in_row[row]
            if star < 0:
                break
            row_covered[row], column_covered[star] = True, False
            start = (row, star)
        # Alternate between stars (along columns) and primes (along rows); along the path, primes become the stars.
        while True:
            next_row = star_in_column[column]
            star_in_row[row], star_in_column[column] = column, row
            if next_row < 0:
                break
            row, column = next_row, prime_in_row[next_row]
    return [(row, star_in_row[row]) for row in range(real_rows)]


def _find_zero(zeros: NDArray[np.bool_], start: tuple[int, int]) -> tuple[int, int] | None:
    """The LAST zero of the first row that has one; rows and columns cyclically from start."""
    rows = np.flatnonzero(zeros.any(axis=1))
    if not rows.size:
        return None
    later = rows[rows >= start[0]]
    row = int(later[0] if later.size else rows[0])
    columns = np.flatnonzero(zeros[row])
    wrapped = columns[columns < start[1]]
    return row, int(wrapped[-1] if wrapped.size else columns[-1])


_Person = tuple[Float32, list[Float32]]  # its rows, and the tags it collected, which need not be those of the rows


@np.errstate(all="ignore")
def group_by_tag(
    values: Float32,
    x: NDArray[np.int32],
    y: NDArray[np.int32],
    tags: Float32,
    params: DecodeParams = DEFAULTS,
    joint_order: Sequence[int] | None = None,
) -> Float32:
    """Candidates (the fields of `TopK`) to persons (P, K, 3 + L) float32, in the order in which they were founded.

    Greedy over joints in joint_order (None: `default_joint_order`): the candidates of a joint are matched with the
    persons so far by a minimum-cost assignment on the distance of tags; who matches nobody founds a person.

    A person is known by its founder's first tag value. A founder with the same value (plateaus, quantised outputs)
    takes that person over: it replaces the joint, and its tag is all that the person remembers. A founder with a NaN
    or infinite tag component has no such key, and is left out of every assignment; so is a person whose mean is
    not finite. ``ignore_too_much``: only the first max_num_people persons are matched against and returned, though key
    collisions reach the others; "mmpose1" matches against all and returns no more than that in any case.
    """
    joints, _, length = tags.shape
    mmpose1 = params.mode == "mmpose1"
    persons: list[_Person] = []
    by_key: dict[float, _Person] = {}
    for joint in default_joint_order(joints) if joint_order is None else joint_order:
        # The threshold is a double: float32(0.1) is above 0.1.
        kept = (values[joint].astype(np.float64) > params.detection_threshold) & np.isfinite(values[joint])
        joint_tags = tags[joint][kept]
        written = np.where(np.isfinite(joint_tags), joint_tags, np.float32(0))
        rows = np.column_stack([x[joint][kept], y[joint][kept], values[joint][kept], written]).astype(np.float32)
        matched = persons[: params.max_num_people] if params.ignore_too_much and not mmpose1 else persons[:]
        # np.mean of float32 (n, L): pairwise sums for L = 1, in the order of collection for L > 1, as the reference.
        means = [np.mean(np.array(collected), axis=0) for _, collected in matched]
        for row, tag, partner in zip(rows, joint_tags, _match(joint_tags, rows[:, 2], means, params), strict=True):
            if partner >= 0:
                person = matched[partner]
            else:
                new: _Person = (np.zeros((joints, 3 + length), np.float32), [])
                person = by_key.setdefault(float(tag[0]), new) if np.isfinite(tag).all() else new
                if person is new:
                    persons.append(new)
                person[1].clear()
            person[0][joint] = row
            person[1].append(tag)
    grouped = np.array([rows for rows, _ in persons], np.float32).reshape(len(persons), joints, 3 + length)
    if params.second_pass:
        most = params.max_num_people if params.ignore_too_much and not mmpose1 else len(persons)
        means = [np.mean(np.array(collected), axis=0) for _, collected in persons[:most]]
        order = default_joint_order(joints) if joint_order is None else joint_order
        grouped = options.group_again(grouped, means, TopK(values, x, y, tags), params, order, _match)
    return grouped[: params.max_num_people] if mmpose1 or params.ignore_too_much else grouped


def _match(tags: Float32, values: Float32, means: list[Float32], params: DecodeParams) -> list[int]:
    """For each candidate (tags (n, L), values (n,)) the index of the person whose mean tag it belongs to, or -1."""
    partner = [-1] * len(tags)
    rows = np.flatnonzero(np.isfinite(tags).all(axis=1))
    columns = np.flatnonzero([bool(np.isfinite(mean).all()) for mean in means])
    if not rows.size or not columns.size:
        return partner
    people = np.stack([means[column] for column in columns]).astype(np.float64)
    distance = _norm(tags[rows].astype(np.float64)[:, None] - people)
    cost = distance
    if params.use_detection_val:
        cost = np.rint(distance) * 100 - values[rows].astype(np.float64)[:, None]
    missing = max(0, rows.size - columns.size)
    padded = np.pad(cost, ((0, 0), (0, missing)), constant_values=PADDING_COST)
    for row, column in assign(padded):
        if column < columns.size and distance[row, column] < params.tag_threshold:
            partner[rows[row]] = int(columns[column])
    return partner


def _norm(difference: NDArray[Any]) -> NDArray[Any]:
    """Euclidean length over the last axis, in the precision given, squares summed in the order of L."""
    total: NDArray[Any] = np.square(difference[..., 0])
    for axis in range(1, difference.shape[-1]):
        total += np.square(difference[..., axis])
    np.sqrt(total, out=total)
    return total


# --------------------------------------------------------------------------------------- step 6: sub-pixel positions


def _pixel(position: Float32, length: int) -> Ints:
    """Coordinates truncated to pixels, and clipped into the map."""
    return np.clip(np.trunc(position), 0, length - 1).astype(np.int64)


def _at(maps: NDArray[np.float32], joint: Any, x: Any, y: Any) -> Any:
    """maps[joint, y, x] with x and y clipped into the map and the only map of a joint shared by all."""
    return maps[joint % len(maps), np.clip(y, 0, maps.shape[1] - 1), np.clip(x, 0, maps.shape[2] - 1)]


def _quarter_step(heatmaps: Float32, joint: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """A quarter pixel towards the larger neighbour, in x and in y; downwards where neither is larger."""
    right = _at(heatmaps, joint, x + 1, y) > _at(heatmaps, joint, x - 1, y)
    below = _at(heatmaps, joint, x, y + 1) > _at(heatmaps, joint, x, y - 1)
    quarter = np.float32(0.25)
    return np.where(right, quarter, -quarter), np.where(below, quarter, -quarter)


def _sign_step(heatmaps: Float32, joint: Any, x: Ints, y: Ints) -> tuple[Any, Any]:
    """mmpose 1.x's quarter step: none between equal neighbours, nor near the border (its limits are lopsided)."""
    height, width = heatmaps.shape[1:]

    def step(after: Any, before: Any, inside: Any) -> Any:
        sign = (after > before).astype(np.float32) - (after < before).astype(np.float32)
        return np.where(inside, np.float32(0.25) * sign, np.float32(0))

    inside_x = (x > 1) & (x < width - 1) & (y > 0) & (y < height)
    inside_y = (y > 1) & (y < height - 1) & (x > 0) & (x < width)
    return (
        step(_at(heatmaps, joint, x + 1, y), _at(heatmaps, joint, x - 1, y), inside_x),
        step(_at(heatmaps, joint, x, y + 1), _at(heatmaps, joint, x, y - 1), inside_y),
    )


@np.errstate(all="ignore")
def adjust(persons: Float32, heatmaps: Float32, params: DecodeParams = DEFAULTS) -> Float32:
    """Persons (P, K, 3 + L) with sub-pixel x and y, in a new array. heatmaps: (K, H, W), before the NMS.

    "reference": a quarter step and half a pixel for found joints (value > 0), or with ``use_udp`` the DARK step of
    Zhang et al. 2020 for all K joints. Whether it is wanted (``params.adjust``) is the caller's business there.
    "mmpose1": a quarter step for all K joints if ``params.adjust``, and center_shift for found joints in any case.
    """
    adjusted = persons.copy()
    heat = finite_or_below(heatmaps)
    joint = np.arange(persons.shape[1])
    x, y = _pixel(persons[..., 0], heat.shape[2]), _pixel(persons[..., 1], heat.shape[1])
    there = persons[..., 2] > 0
    shift = np.float32(0.5) if params.mode == "reference" else np.float32(params.center_shift)
    if params.mode == "mmpose1":
        step_x, step_y = _sign_step(heat, joint, x, y)
        if not params.adjust:
            step_x, step_y = np.zeros_like(step_x), np.zeros_like(step_y)
    elif params.use_udp:
        (step_x, step_y), shift = _dark_step(heat, joint, x, y), np.float32(0)
    else:
        step_x, step_y = (np.where(there, step, np.float32(0)) for step in _quarter_step(heat, joint, x, y))
    for axis, step in ((0, step_x), (1, step_y)):
        moved = persons[..., axis] + step + np.where(there, shift, np.float32(0))
        adjusted[..., axis] = np.clip(moved, -FLT_MAX, FLT_MAX)
    return adjusted


@np.errstate(all="ignore")
def _dark_step(heat: Float32, joint: Ints, x: Ints, y: Ints) -> tuple[Float64, Float64]:
    """DARK: one Newton step to the vertex of the parabola through the blurred log-heat; 0 where there is none."""
    log_heat = np.log(np.clip(_blur(heat), np.float32(0.001), np.float32(50)))

    def g(dx: int, dy: int) -> Any:
        return _at(log_heat, joint, x + dx, y + dy)

    two, middle = np.float32(2), g(0, 0)
    gx, gy = (g(1, 0) - g(-1, 0)) / two, (g(0, 1) - g(0, -1)) / two
    gxx, gyy = g(1, 0) - two * middle + g(-1, 0), g(0, 1) - two * middle + g(0, -1)
    gxy = (g(1, 1) - g(1, 0) - g(0, 1) + two * middle - g(-1, 0) - g(0, -1) + g(-1, -1)) / two
    a, b, d = gxx.astype(np.float64) + DARK_EPS, gxy.astype(np.float64), gyy.astype(np.float64) + DARK_EPS
    determinant = a * d - b * b
    step_x, step_y = (b * gy - d * gx) / determinant, (b * gx - a * gy) / determinant
    usable = (determinant != 0) & np.isfinite(determinant) & np.isfinite(step_x) & np.isfinite(step_y)
    return np.where(usable, step_x, 0), np.where(usable, step_y, 0)


def _blur(heat: Float32) -> Float32:
    """(1/4, 1/2, 1/4) along x, then along y; mirrored at the border without repeating the edge pixel."""
    for axis in (2, 1):
        last = heat.shape[axis] - 1
        before = np.minimum(np.abs(np.arange(-1, last)), last)
        sides = np.take(heat, before, axis) + np.take(heat, last - before[::-1], axis)
        heat = np.float32(0.5) * heat + np.float32(0.25) * sides
    return heat


def person_scores(persons: Float32, params: DecodeParams = DEFAULTS) -> Float32:
    """(P,) float32: the mean of a person's K joint values, missing joints as 0; (P, K) values with score_per_joint.

    Which step's persons to give is the caller's business: the mean is that before `refine`, see `results`. A mean that
    overflows becomes the largest float32 of its sign (0 where the sum met both infinities).
    """
    if params.score_per_joint:
        return persons[..., 2].copy()
    if params.person_score != "mean":
        return options.other_scores(persons, params.person_score)
    with np.errstate(all="ignore"):
        means = np.array([person[:, 2].mean() for person in persons], np.float32)
    return np.nan_to_num(means, nan=0.0, posinf=FLT_MAX, neginf=-FLT_MAX)


# ---------------------------------------------------------------------------------- steps 7 and 8: fill in, go back


@np.errstate(all="ignore")
def refine(persons: Float32, heatmaps: Float32, tags: Float32, params: DecodeParams = DEFAULTS) -> Float32:
    """Persons with their missing joints (value 0) filled in where the maps offer one, in a new array.

    heatmaps: (K, H, W); tags: (K or 1, H, W, L). The place is the best over ALL pixels: heat against the rounded
    distance of the tag from the person's mean tag; of equals the first in row-major order. Tag columns stay 0.
    "reference": the better of heat and whole units of distance, if its heat is positive; then the quarter step.
    "mmpose1": distance counts 100 times, whatever heat it has; the bare pixel.
    """
    filled = persons.copy()
    heat = finite_or_below(heatmaps)
    mmpose1 = params.mode == "mmpose1"
    usable: dict[int, Ints | None] = {}
    for person in filled:
        there = np.flatnonzero(person[:, 2] > 0)
        x, y = _pixel(person[there, 0], heat.shape[2]), _pixel(person[there, 1], heat.shape[1])
        # The tags are read again, at the adjusted position: the pixel need not be the candidate's.
        collected = _at(tags, there, x, y)
        collected = collected[np.isfinite(collected).all(axis=1)]
        mean = np.mean(collected, axis=0) if len(collected) else np.array([np.nan])
        if not np.isfinite(mean).all():
            continue
        for joint in map(int, np.flatnonzero(person[:, 2] == 0)):
            if joint not in usable:
                finite = np.isfinite(heat[joint]) & np.isfinite(tags[joint % len(tags)]).all(axis=-1)
                usable[joint] = None if finite.all() else np.flatnonzero(finite)
            index = _best_pixel(heat[joint], tags[joint % len(tags)], mean, usable[joint], mmpose1)
            if index is None:
                continue
            row, column = divmod(index, heat.shape[2])
            value = heat[joint, row, column]
            if mmpose1:
                person[joint, :3] = column, row, value
            elif value > np.float32(params.filled_floor):
                step_x, step_y = _quarter_step(heat, joint, column, row)
                centre = 0.0 if params.use_udp else 0.5
                person[joint, :3] = column + centre + step_x, row + centre + step_y, value
    return filled


def _best_pixel(heat: Float32, tags: Float32, mean: Float32, usable: Ints | None, mmpose1: bool) -> int | None:
    """Index of the best pixel of heat (H, W) for a person of that mean tag. usable: where to look, None: everywhere."""
    distance = np.rint(_norm(tags - mean))
    score = (heat - distance * np.float32(100) if mmpose1 else heat - distance).ravel()
    if usable is None:
        return int(np.argmax(score))
    return int(usable[np.argmax(score[usable])]) if usable.size else None


def back_project(
    x: Float32, y: Float32, map_size: Size, image_size: Size, params: DecodeParams = DEFAULTS
) -> tuple[Float32, Float32]:
    """Positions on a map (W, H) to pixels of the image (w, h) that was letterboxed: float32, of the shape of x and y.

    The map shows a square of the image's longer side, centred on the image; in UDP it starts at the image's top left.
    mmpose 0.x cuts half the image size to an integer, so that odd sizes come out half a pixel off.
    """
    if params.exact_geometry:
        if params.input_size is None:
            raise ValueError("input_size: None, expected the network's (width, height) for exact_geometry here")
        x, y = options.exact_back_project(x, y, map_size, image_size, params.input_size)
        return x, y
    side = max(image_size)
    moved = []
    for position, map_length, length in zip((x, y), map_size, image_size, strict=True):
        place = position.astype(np.float64)
        if params.mode == "reference" and params.use_udp:
            place = place * ((side - 1) / (map_length - 1)) if map_length > 1 else np.zeros_like(place)
        else:
            half = length / 2 if params.mode == "mmpose1" else length // 2
            place = place * (side / map_length) + half - side / 2
        moved.append(np.clip(place, -FLT_MAX, FLT_MAX).astype(np.float32))
    return moved[0], moved[1]
