"""Makes the pictures of docs/algorithm.md: what each step of the decoder leaves of one drawn picture.

    python docs/figures/algorithm_pictures.py

The picture is drawn (seed below), the network is the one that the package carries, the steps are those of
hrnetae.reference. Needs matplotlib (pip install matplotlib).
"""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

import hrnetae
from hrnetae import reference
from hrnetae.evaluation.drawn_scenes import draw_scene
from hrnetae.runtime.estimator import PoseEstimator
from hrnetae.tools.demo_flow import demo_network

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
SEED = 8
WRIST = 9  # the joint whose maps are shown: left wrist
COLOURS = 96  # of a picture's palette
INK, FAINT = "#1f2430", "#8a93a6"
PEOPLE = ("#d1495b", "#2a7de1", "#2e9e6b", "#b8860b", "#8e44ad", "#e67e22", "#16a2b8", "#7f8c8d")


def save(figure: Figure, name: str) -> None:
    """As PNG with a palette."""
    png = BytesIO()
    figure.savefig(png, dpi=110, facecolor="white", bbox_inches="tight", pad_inches=0.08)
    plt.close(figure)
    picture = Image.open(png).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(HERE / name, optimize=True)


def panels(*titles: str, width: float = 3.4, height: float = 3.2) -> tuple[Figure, Any]:
    """A row of axes without ticks, one per title."""
    figure, axes = plt.subplots(1, len(titles), figsize=(width * len(titles), height), squeeze=False)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=10, color=INK)
        ax.set_xticks([])
        ax.set_yticks([])
    return figure, axes[0]


def maps_picture(picture: Any, heat: Any, tags: Any) -> None:
    """The picture, and what the network says of one joint."""
    figure, (a, b, c) = panels("picture", "heatmap of the left wrist", "its tag map")
    a.imshow(picture)
    b.imshow(heat[WRIST], cmap="magma", vmin=0, vmax=1)
    c.imshow(tags[WRIST, ..., 0], cmap="viridis")
    save(figure, "algorithm_maps.png")


def peaks_picture(picture: Any, heat: Any, top: Any, params: Any) -> None:
    """Before and after the suppression, and the candidates of all joints."""
    peaks = reference.heatmap_nms(heat, params.nms_kernel)
    figure, (a, b, c) = panels("heat", "what the suppression leaves", "candidates of all joints")
    a.imshow(heat[WRIST], cmap="magma", vmin=0, vmax=1)
    b.imshow(np.zeros_like(heat[WRIST]), cmap="magma", vmin=0, vmax=1)
    y, x = np.nonzero(peaks[WRIST] > 0.02)
    kept = peaks[WRIST][y, x] > params.detection_threshold
    b.scatter(x[~kept], y[~kept], s=9, color=FAINT)
    b.scatter(x[kept], y[kept], s=40, color="white", edgecolors="#d1495b")
    c.imshow(picture, alpha=0.45)
    for k in range(len(top.values)):
        found = top.values[k] > params.detection_threshold
        c.scatter(top.x[k][found], top.y[k][found], s=9, color="#d1495b" if k == WRIST else INK)
    save(figure, "algorithm_peaks.png")


def tags_picture(top: Any, persons: Any, params: Any) -> None:
    """The candidates' tags, joint by joint, in the colour of the person that took them."""
    figure, ax = plt.subplots(figsize=(8.6, 3.4))
    for k in range(len(top.values)):
        for m in np.flatnonzero(top.values[k] > params.detection_threshold):
            owner = next(
                (p for p, rows in enumerate(persons) if tuple(rows[k, :2]) == (top.x[k][m], top.y[k][m])), None
            )
            color = FAINT if owner is None else PEOPLE[owner % len(PEOPLE)]
            ax.scatter(k, top.tags[k, m, 0], s=28 + 60 * top.values[k][m], color=color, alpha=0.85, edgecolors="white")
    ax.set_xticks(range(len(top.values)), hrnetae.COCO17.joints, rotation=40, ha="right", fontsize=8)
    ax.set_ylabel("tag", color=INK)
    ax.set_title("tags of the candidates; a colour is a person", fontsize=10, color=INK)
    ax.grid(axis="y", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, "algorithm_tags.png")


def skeleton(ax: Axes, person: Any, color: str, filled: Any) -> None:
    """Limbs and joints of a person; joints that were filled in are hollow."""
    for a, b in hrnetae.COCO17.limbs:
        if person[a, 2] > 0 and person[b, 2] > 0:
            ax.plot(person[[a, b], 0], person[[a, b], 1], color=color, lw=1.6, alpha=0.9)
    there = person[:, 2] > 0
    ax.scatter(*person[there & ~filled, :2].T, s=16, color=color, zorder=3)
    ax.scatter(*person[there & filled, :2].T, s=26, facecolors="white", edgecolors=color, zorder=3)


def people_picture(picture: Any, grouped: Any, refined: Any, params: Any) -> None:
    """After grouping, and after the missing joints were filled in."""
    strong = [p for p in range(len(grouped)) if reference.person_scores(grouped, params)[p] > 0.2]
    figure, (a, b) = panels("after grouping", "after refinement (hollow: filled in)", width=4.4, height=4.0)
    for ax, persons in ((a, grouped), (b, refined)):
        ax.imshow(picture, alpha=0.45)
        for p in strong:
            missing = grouped[p, :, 2] <= 0
            skeleton(ax, persons[p], PEOPLE[p % len(PEOPLE)], missing if persons is refined else np.zeros(17, bool))
    save(figure, "algorithm_people.png")


def quarter_picture(heat: Any, top: Any, adjusted: Any) -> None:
    """Peaks of three joints and the pixels around them, with the quarter step."""
    figure, axes = panels("left wrist", "nose", "right ankle", width=2.6, height=2.6)
    size = 4
    for ax, k in zip(axes, (WRIST, 0, 16), strict=True):
        x, y = int(top.x[k][0]), int(top.y[k][0])
        person = next(rows for rows in adjusted if tuple(np.floor(rows[k, :2]).astype(int)) == (x, y))
        near = heat[k][y - size : y + size + 1, x - size : x + size + 1]
        ax.imshow(heat[k], cmap="magma", interpolation="nearest", vmin=near.min(), vmax=near.max())
        ax.set_xlim(x - size - 0.5, x + size + 0.5)
        ax.set_ylim(y + size + 0.5, y - size - 0.5)
        ax.scatter(x, y, marker="x", color="#2a7de1", s=60)
        ax.scatter(*(person[k, :2] - 0.5), color="white", s=46, edgecolors="#2a7de1", lw=1.5)  # centres are at + 0.5
    save(figure, "algorithm_quarter.png")


def refine_picture(heat: Any, tags: Any, adjusted: Any, refined: Any, grouped: Any, params: Any) -> None:
    """What the search for a missing joint looks at: heat less the rounded distance of the tags."""
    scores = reference.person_scores(grouped, params)
    order = sorted(range(len(grouped)), key=lambda p: -scores[p])
    person, joint = next(
        (p, k) for p in order for k in range(17) if grouped[p, k, 2] <= 0 < refined[p, k, 2] and refined[p, k, 2] > 0.02
    )
    rows = adjusted[person]
    there = rows[:, 2] > 0
    at = np.clip(rows[there, :2].astype(int), 0, np.array(heat.shape[:0:-1]) - 1)
    mean = tags[np.flatnonzero(there), at[:, 1], at[:, 0]].mean(axis=0)
    away = np.rint(np.linalg.norm(tags[joint] - mean, axis=-1))
    name = hrnetae.COCO17.joints[joint].replace("_", " ")
    figure, (a, b, c) = panels(f"heat of the {name}", "rounded distance to the person's tag", "heat less distance")
    a.imshow(heat[joint], cmap="magma")
    b.imshow(away, cmap="viridis_r")
    c.imshow(np.maximum(heat[joint] - away, -0.5), cmap="magma")
    for ax in (a, b, c):
        ax.scatter(*refined[person, joint, :2], s=70, facecolors="none", edgecolors="white", lw=1.6)
    save(figure, "algorithm_refine.png")


def main() -> None:
    """All pictures."""
    params = hrnetae.DecodeParams()
    picture = draw_scene(SEED).picture
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "hrnet_demo.onnx"
        model.write_bytes(demo_network())
        estimator = PoseEstimator(model, params=params)
        maps = estimator.infer(estimator.prepare(picture))
    size = (picture.shape[1], picture.shape[0])
    output, flipped = maps[0][:1], maps[0][1:]
    steps = reference.decode_steps(output, flipped, size, params, hrnetae.COCO17)
    heat, tags = steps.heatmaps, steps.tags
    maps_picture(picture, heat, tags)
    peaks_picture(picture, heat, steps.candidates, params)
    tags_picture(steps.candidates, steps.grouped, params)
    quarter_picture(heat, steps.candidates, steps.adjusted)
    people_picture(picture, steps.grouped, steps.refined, params)
    refine_picture(heat, tags, steps.adjusted, steps.refined, steps.grouped, params)


if __name__ == "__main__":
    main()
