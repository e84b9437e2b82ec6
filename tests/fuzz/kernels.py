"""The kernels on hostile inputs: `Decoder` at every level, batches, the public steps, the matching of OKS.

Whatever the numbers are: no crash and no exception, results finite, every level the same bits, inputs as they were.
Arguments that are not legal are refused with a TypeError or ValueError of one line. The maps lie next to memory that
cannot be touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import campaign
import guarded
import hostile
import kernel_cases as cases
import numpy as np
from hostile import Array, Inputs, Rng, chance, pick

import hrnetae
from hrnetae import DecodeParams, Decoder, _kernels
from hrnetae.dispatch import LEVELS
from hrnetae.outputs import arrange
from hrnetae.steps import joint_arrays
from hrnetae.types import TopK

RELATIVES = 4  # inputs that are made of one that was drawn; with all levels an input may take half a second
_memory = guarded.Guarded()


def _not_finite(arrays: Mapping[str, Array]) -> str:
    names = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    return f"{', '.join(names)} not finite" if names else ""


def _changed(placed: Iterable[Array], drawn: Iterable[Array]) -> str:
    """Whether inputs are no longer what was drawn."""
    same = all(one.tobytes() == other.tobytes() for one, other in zip(placed, drawn, strict=True))
    return "" if same else "an input was written to"


def _first(complaints: Iterable[str]) -> str:
    return next((what for what in complaints if what), "")


# ------------------------------------------------------------------------------------------------------------- decode


def _decode(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    drawn = cases.any_image(rng, cases.any_scene(rng))
    placed = campaign.place(drawn, number)
    what = _decode_at_levels(placed, levels)
    if not what and chance(rng, 0.3):
        what = _features(placed, levels)
    inputs = [(placed[side], drawn[side]) for side in ("output", "flipped")]
    what = what or _first(_changed(hostile.arrays_of(one), hostile.arrays_of(other)) for one, other in inputs)
    return what or _first(_relative(rng, drawn, number + i, levels) for i in range(RELATIVES))


def _relative(rng: Rng, drawn: Inputs, number: int, levels: tuple[str, ...]) -> str:
    """The same image with other bits here and there: what a scene costs to draw serves several inputs."""
    sides = ("output", "flipped")
    other = {side: hostile.relaid(drawn[side], partial(cases.with_flipped_bits, rng)) for side in sides}
    what = campaign.check(campaign.place(drawn | other, number), levels)[1]
    return f"with other bits: {what}" if what else ""


def _decode_at_levels(placed: Inputs, levels: tuple[str, ...]) -> str:
    """The levels against each other and against `Decoder`."""
    what = campaign.check(placed, levels)[1]
    if what:
        return what
    ((_, dense),) = campaign.answers(placed, ("dense",))
    return _difference(_public_decode(placed), dense)


def _public_decode(image: Inputs) -> hrnetae.Poses:
    decoder = Decoder(image["params"], image["skeleton"])
    return decoder.decode(image["output"], image["flipped"], image_size=image["image_size"], scales=image["scales"])


def _difference(poses: hrnetae.Poses, expected: campaign.Answer) -> str:
    return campaign.difference((poses.keypoints, poses.scores, poses.tags), expected)


def _features(placed: Inputs, levels: tuple[str, ...]) -> str:
    params, skeleton = placed["params"], placed["skeleton"]
    maps = arrange(placed["output"], placed["flipped"], params, skeleton, placed["scales"])
    found = [
        _kernels.decode_features(maps, *joint_arrays(skeleton), params, placed["image_size"], LEVELS[name])[3]
        for name in ("dense", *levels)
    ]
    if len({features.tobytes() for features in found}) > 1:
        return "features differ between levels"
    return _not_finite({"features": found[0]})


# -------------------------------------------------------------------------------------------------------------- batch


def _batch(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    """Several images together and each alone."""
    scene = cases.any_scene(rng)
    images = [cases.any_image(rng, scene) for _ in range(int(rng.integers(1, 6)))]
    images = [image for image in images if image["scales"] is None]
    together = Decoder(scene.params, scene.skeleton).decode_batch(
        [image["output"] for image in images],
        [image["flipped"] for image in images],
        image_sizes=[image["image_size"] for image in images],
        threads=int(rng.integers(1, 4)),
    )
    for image, poses in zip(images, together, strict=True):
        alone = _public_decode(image)
        what = _difference(poses, (alone.keypoints, alone.scores, alone.tags))
        if what:
            return f"in a batch: {what}"
    return ""


# -------------------------------------------------------------------------------------------------------------- steps


def _project(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    """And the steps behind it, each on what the one before gave."""
    drawn = cases.any_image(rng, cases.any_scene(rng))
    placed = campaign.place(drawn, number)
    params, skeleton = placed["params"], placed["skeleton"]
    size, scales = placed["image_size"], placed["scales"]
    heat, tags = hrnetae.project(
        placed["output"], placed["flipped"], image_size=size, params=params, skeleton=skeleton, scales=scales
    )
    if np.isnan(heat).any() or (heat == np.inf).any():
        return "project: heat is NaN or inf, expected finite numbers or -inf"
    return _all_steps(heat, tags, params, skeleton.joint_order)


def _all_steps(heat: Array, tags: Array, params: DecodeParams, order: tuple[int, ...] | None) -> str:
    peaks = hrnetae.heatmap_nms(heat, params.nms_kernel)
    found = hrnetae.top_k(peaks, tags, params.max_num_people)
    persons = hrnetae.group_by_tag(*found, params, order)
    moved = hrnetae.adjust(persons, heat, params)
    filled = hrnetae.refine(moved, heat, tags, params)
    return _not_finite(
        {
            "heatmap_nms": peaks,
            "top_k": found.values,
            "group_by_tag": persons[..., :3],
            "adjust": moved[..., :3],
            "refine": filled[..., :3],
        }
    )


def _any_maps(rng: Rng) -> tuple[Array, Array]:
    """heat (K, H, W) and tags (K or 1, H, W, L), in guarded memory."""
    joints, width, height, length = (int(rng.integers(1, most)) for most in (6, 14, 14, 4))
    heat = cases.any_floats(rng, (joints, height, width))
    tags = cases.any_floats(rng, (pick(rng, (1, joints)), height, width, length))
    _memory.clear()
    return _memory.put(heat, chance(rng, 0.5)), _memory.put(tags, chance(rng, 0.5), int(chance(rng, 0.2)))


def _steps(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    """Each on arrays of its own."""
    heat, tags = _any_maps(rng)
    before = heat.tobytes(), tags.tobytes()
    params = cases.any_params(rng, heat[0].size)
    what = _all_steps(heat, tags, params, None)
    hrnetae.top_k(heat, tags, params.max_num_people)  # with no NMS before
    persons = cases.any_persons(rng, len(heat), tags.shape[3], (heat.shape[2], heat.shape[1]))
    given = persons.copy()
    moved = hrnetae.adjust(persons, heat, params)
    filled = hrnetae.refine(persons, heat, tags, params)
    if not moved.shape == filled.shape == persons.shape:
        return f"shapes {moved.shape}, {filled.shape}, expected {persons.shape}"
    unchanged = (heat.tobytes(), tags.tobytes(), persons.tobytes()) == (*before, given.tobytes())
    return what or ("" if unchanged else "an input was written to")


def _group(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    """Candidates that no map gave."""
    joints, count, length = (int(rng.integers(1, most)) for most in (8, 12, 4))
    values = cases.any_floats(rng, (joints, count), np.float32)
    values = -np.sort(-np.where(np.isfinite(values), values, 0), axis=1)
    x, y = (any_whole(rng, (joints, count)) for _ in range(2))
    tags = cases.any_floats(rng, (joints, count, length))
    order = [int(k) for k in rng.permutation(joints)]
    found = TopK(values, x, y, tags)
    persons = hrnetae.group_by_tag(*found, cases.any_params(rng, count), order)
    if persons.shape[1:] != (joints, 3 + length):
        return f"persons {persons.shape}"
    return _not_finite({"group_by_tag": persons[..., :3]})


def any_whole(rng: Rng, shape: tuple[int, ...]) -> Array:
    """int32, small or any."""
    low, high = pick(rng, ((0, 9), (-(1 << 31), 1 << 31)))
    return rng.integers(low, high, shape, dtype=np.int32)


# ---------------------------------------------------------------------------------------------------------------- OKS


def _oks(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    persons, rules = cases.any_matching(rng)
    exponents = _kernels.oks_exponents(persons)
    with np.errstate(all="ignore"):
        similarities = np.exp(exponents)
    flags = _kernels.oks_match(persons, rules, similarities)
    expected = len(rules.found_outside), len(rules.threshold), len(persons.found)
    if flags.shape != expected or (flags > 3).any():
        return f"flags {flags.shape} up to {flags.max(initial=0)}, expected {expected} up to 3"
    return ""


# -------------------------------------------------------------------------------------------- what is not legal


def _refused(rng: Rng, number: int, levels: tuple[str, ...]) -> str:
    """One argument replaced by another: refused with a line, or legal by chance."""
    image = cases.any_image(rng, cases.any_scene(rng))
    wrong: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("image_size", lambda: pick(rng, ((0, 1), (1, -5), (1 << 40, 2), (2.5, 3), None, 7, (1, 2, 3), "ab"))),
        ("flipped", lambda: pick(rng, (image["output"], [], 3, np.zeros((1, 1, 1), np.float32)))),
        ("output", lambda: hostile.relaid(image["output"], lambda maps: pick(rng, (maps[1:], maps[:, :0], maps[0])))),
        ("output", lambda: hostile.relaid(image["output"], lambda maps: maps.astype(pick(rng, (">f4", "f8", "i2"))))),
        ("scales", lambda: pick(rng, ((1.0, 2.0), (), (float("nan"),), (0.0,), (1.0, 1.0), 3))),
    )
    name, make = pick(rng, wrong)
    with np.errstate(all="ignore"):
        image[name] = make()
    try:
        _public_decode(image)
    except (TypeError, ValueError) as error:
        message = str(error)
        return "" if message and "\n" not in message else f"an error that is no line of text: {message[:200]!r}"
    return ""


KINDS = ((_decode, 50), (_project, 12), (_steps, 14), (_group, 8), (_batch, 4), (_oks, 8), (_refused, 4))
_WHEEL = tuple(kind for kind, share in KINDS for _ in range(share))


class KernelTarget:
    """A case is of one kind, drawn from the seed and its number alone."""

    name = "kernels"

    @cached_property
    def _levels(self) -> tuple[str, ...]:
        return campaign.sparse_levels()

    def run(self, seed: int, number: int) -> str:
        rng = np.random.default_rng((seed, number))
        kind = pick(rng, _WHEEL)
        what = kind(rng, number, self._levels)
        return f"{kind.__name__.lstrip('_')}: {what}" if what else ""


def inputs_of(seed: int, number: int) -> int:
    """How many inputs a case of the target has; of a batch one is counted."""
    kind = pick(np.random.default_rng((seed, number)), _WHEEL)
    return 1 + RELATIVES if kind is _decode else 1


KERNELS = KernelTarget()
