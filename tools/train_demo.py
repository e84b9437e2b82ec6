"""Train the demo's network anew: ``python -m hrnetae.tools.train_demo --work DIR`` (torch, about an hour on one core).

For maintainers. Draws scenes, denser ones than the demo's, trains on them, watches the AP of others, and writes the
best network as ONNX. What is in DIR is taken up again; the seeds of the demo's scenes are never trained on.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import Decoder
from hrnetae.evaluation.drawn_scenes import DENSE, MOST_FIGURES, DrawnScene, draw_scene, scenes_ground_truth
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.evaluation.results import Results
from hrnetae.files import atomic_write
from hrnetae.skeleton import COCO17

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hrnetae.networks.hrnet import Architecture, PoseNetwork

SIDE = 256  # pixels, of the network's square input
PAD = 114
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB, 0..1
SIGMA = 1.5  # cells
DEMO_SEEDS = range(64)
WATCHED_SEEDS = range(1000, 1064)  # the AP that chooses the best network
FIRST_TRAINING_SEED = 10_000

Pictures = NDArray[np.uint8]
Joints = NDArray[np.float32]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hrnetae.tools.train_demo", description=__doc__)
    add = parser.add_argument
    add("--work", type=Path, required=True, help="folder for the drawn scenes, the state of the training and the log")
    add("--out", type=Path, default=Path("hrnetae/data/demo/hrnet_demo.onnx"), help="the network (%(default)s)")
    add("--scenes", type=int, default=4000, help="drawn scenes to train on (%(default)s)")
    add("--steps", type=int, default=8000, help="steps in all (%(default)s)")
    add("--batch", type=int, default=8, help="pictures a step (%(default)s)")
    add("--crop", type=int, default=SIDE, help="side of the part of a picture that is trained on (%(default)s)")
    add("--rate", type=float, default=3e-3, help="highest learning rate (%(default)s)")
    add("--watch", type=int, default=250, help="steps between two looks at the AP (%(default)s)")
    add("--minutes", type=float, default=math.inf, help="stop after so many minutes, whatever the step (%(default)s)")
    add("--threads", type=int, default=1, help="(%(default)s)")
    return parser


def architecture() -> Architecture:
    """The demo's network: HRNet with fewer blocks; 18 channels are enough for 17 heatmaps and a tag."""
    from hrnetae.networks.hrnet import Architecture

    return Architecture(width=18, stem=16, modules=(1, 1, 1), blocks=(2, 2, 1, 1))


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import torch

    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    training = Training(args)
    training.run()
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# Scenes as the network sees them


def letterbox(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, float, float]:
    """uint8 (SIDE, SIDE, 3): the picture centred on grey; and how positions move: scale, then shift in x and y."""
    import cv2

    height, width = picture.shape[:2]
    scale = SIDE / max(width, height)
    new_width, new_height = round(width * scale), round(height * scale)
    left, top = (SIDE - new_width) // 2, (SIDE - new_height) // 2
    boxed = np.full((SIDE, SIDE, 3), PAD, np.uint8)
    boxed[top : top + new_height, left : left + new_width] = cv2.resize(picture, (new_width, new_height))
    return boxed, scale, float(left), float(top)


def as_sample(scene: DrawnScene) -> tuple[NDArray[np.uint8], Joints]:
    """The letterboxed picture and its joints (MOST_FIGURES, 17, 3): x, y in pixels of it, and v."""
    boxed, scale, left, top = letterbox(scene.picture)
    joints = np.zeros((MOST_FIGURES, len(COCO17), 3), np.float32)
    for row, annotation in zip(joints, scene.annotations, strict=False):
        row[:] = np.reshape(annotation["keypoints"], (-1, 3))
        row[:, :2] = row[:, :2] * scale + (left, top)
    return boxed, joints


def drawn_samples(path: Path, count: int) -> tuple[Pictures, Joints]:
    """(count, SIDE, SIDE, 3) and (count, MOST_FIGURES, 17, 3), from ``path`` or drawn and kept there."""
    if path.is_file():
        with np.load(path) as kept:
            if len(kept["joints"]) >= count:
                return kept["pictures"][:count], kept["joints"][:count]
    pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
    joints = np.empty((count, MOST_FIGURES, len(COCO17), 3), np.float32)
    for i in range(count):
        pictures[i], joints[i] = as_sample(draw_scene(FIRST_TRAINING_SEED + i, DENSE))
    with atomic_write(path) as stream:
        np.savez(stream, pictures=pictures, joints=joints, allow_pickle=False)
    return pictures, joints


def batches(
    rng: np.random.Generator, pictures: Pictures, joints: Joints, size: int, crop: int
) -> Iterator[tuple[Pictures, Joints]]:
    """Endless batches: every sample once a round, a random part of each, half of them mirrored, in random light."""
    while True:
        order = rng.permutation(len(pictures))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            parts, moved = zip(*(random_part(rng, pictures[i], joints[i], crop) for i in chosen), strict=True)
            yield in_random_light(rng, np.stack(parts)), np.stack(moved)


def random_part(
    rng: np.random.Generator, picture: NDArray[np.uint8], joints: Joints, crop: int
) -> tuple[NDArray[np.uint8], Joints]:
    """(crop, crop, 3) out of a picture, mirrored or not, and its joints (P, 17, 3) where they are then."""
    left, top = rng.integers(0, np.array(picture.shape[1::-1]) - crop + 1)
    part = picture[top : top + crop, left : left + crop]
    moved = joints - np.array((left, top, 0), np.float32)
    if rng.random() < 0.5:
        part, moved = part[:, ::-1], moved[:, list(COCO17.flip_index)]
        moved[..., 0] = crop - moved[..., 0]
    return part, moved


def in_random_light(rng: np.random.Generator, pictures: Pictures) -> Pictures:
    """Brighter or darker, a little in each colour by itself."""
    count = len(pictures)
    light = rng.uniform(0.85, 1.15, size=(count, 1, 1, 1)) * rng.uniform(0.94, 1.06, size=(count, 1, 1, 3))
    shift = rng.uniform(-12, 12, size=(count, 1, 1, 1))
    return np.clip(pictures * light.astype(np.float32) + shift.astype(np.float32), 0, 255).astype(np.uint8)


def as_input(pictures: Pictures) -> Tensor:
    """uint8 (N, H, W, 3) RGB -> float32 (N, 3, H, W), normalised."""
    import torch

    scaled = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
    return scaled.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(STD)[:, None, None])


# ---------------------------------------------------------------------------------------------------------------------
# The score


class Score:
    """COCO metrics of a network on scenes, decoded with flip test as the demo does."""

    def __init__(self, seeds: Sequence[int]) -> None:
        scenes = [draw_scene(seed) for seed in seeds]
        self._samples = [as_sample(scene)[0] for scene in scenes]
        self._sizes = [scene.image_size for scene in scenes]
        self._truth = GroundTruth(Path("drawn"), scenes_ground_truth(scenes), {}, None)

    def __call__(self, network: PoseNetwork) -> dict[str, float]:
        """The ten metrics."""
        import torch

        decoder = Decoder()
        parts = []
        with torch.no_grad():
            for number, (sample, size) in enumerate(zip(self._samples, self._sizes, strict=True), 1):
                both = as_input(np.stack([sample, sample[:, ::-1]]))
                plain, flipped = network(both)[0].numpy()
                parts.append(Results.of_poses(decoder.decode(plain, flipped, image_size=size), number))
        ids = range(1, len(parts) + 1)
        return keypoint_metrics(self._truth, Results.joined(parts), ids)


# ---------------------------------------------------------------------------------------------------------------------
# The training


@dataclass
class _Progress:
    step: int = 0
    best: float = -1.0
    seconds: float = 0.0


class Training:
    """The state of a training in a folder, and the loop."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        from hrnetae.networks.complexity import count_multiply_adds, count_parameters
        from hrnetae.networks.hrnet import PoseNetwork
        from hrnetae.networks.training import MeanWeights, initialise

        self._args = args
        self._progress = _Progress()
        torch.manual_seed(0)
        network = PoseNetwork(architecture())
        initialise(network, len(COCO17))
        parameters = count_parameters(network)
        settings = {name: value for name, value in vars(args).items() if not isinstance(value, Path)}
        self._say(
            f"{architecture()}: {parameters} parameters, "
            f"{count_multiply_adds(network, (1, 3, SIDE, SIDE)) / 1e6:.0f} M multiply-adds; {settings}"
        )
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean = MeanWeights(self._network, 0.995)
        decayed = [value for value in network.parameters() if value.ndim > 1]
        others = [value for value in network.parameters() if value.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 1e-2}, {"params": others, "weight_decay": 0.0}],
            lr=args.rate,
            fused=True,
        )
        self._resume()

    def run(self) -> None:
        """Train to the last step; write the best network whenever there is a better one."""
        args, progress = self._args, self._progress
        score = Score(WATCHED_SEEDS)
        samples = drawn_samples(args.work / "scenes.npz", args.scenes)
        self._say(f"{len(samples[0])} scenes drawn, {int((samples[1][..., 2] > 0).any(axis=2).sum())} figures")
        rng = np.random.default_rng(progress.step)
        start = time.perf_counter() - progress.seconds
        found: list[NDArray[np.float64]] = []
        for pictures, joints in batches(rng, *samples, args.batch, args.crop):
            if self._done() < 1:
                progress.step += 1
                found.append(self._step(pictures, joints))
                progress.seconds = time.perf_counter() - start
            if found and (progress.step % args.watch == 0 or self._done() >= 1):
                self._look(score, np.mean(found, axis=0))
                found.clear()
            if self._done() >= 1:
                break
        self._finish()

    def _look(self, score: Score, means: NDArray[np.float64]) -> None:
        """Score the network as it is, and keep it. means: the losses since the last look."""
        progress = self._progress
        metrics = score(self._mean.network)
        losses = "  ".join(f"{name} {mean:.6f}" for name, mean in zip(("heat", "pull", "push"), means, strict=True))
        shown = "  ".join(f"{name} {metrics[name]:.4f}" for name in ("AP", "AP50", "AP75", "AR"))
        self._say(f"step {progress.step:5d} {progress.seconds:6.0f} s  {losses}  {shown}")
        if metrics["AP"] > progress.best:
            progress.best = metrics["AP"]
            self._keep("best.pt", self._mean.network.state_dict())
            export(self._mean.network, self._args.out)
        self._keep("state.pt", self._state())

    def _done(self) -> float:
        """0..1: how much of the training lies behind, by its steps or by the clock."""
        progress, args = self._progress, self._args
        return max(progress.step / args.steps, progress.seconds / (60 * args.minutes))

    def _step(self, pictures: Pictures, joints: Joints) -> NDArray[np.float64]:
        import torch

        from hrnetae.networks.training import losses

        step = self._progress.step
        rate = min(1.0, step / 100) * self._args.rate * max(0.005, 0.5 * (1 + math.cos(math.pi * self._done())))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._network.train()
        x = as_input(pictures).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = self._network(x)[0]
        moved = torch.from_numpy(joints)
        found = losses(output.float(), moved[..., :2] / 4 - 0.5, moved[..., 2] > 0, SIGMA)
        self._optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        self._optimizer.step()
        self._mean.update(self._network, step)
        return np.array([loss.item() for loss in (found.heat, found.pull, found.push)])

    def _finish(self) -> None:
        """The best network on the demo's own scenes, which had no part in choosing it."""
        import torch

        network = self._mean.network
        network.load_state_dict(torch.load(self._args.work / "best.pt", weights_only=True))
        metrics = Score(DEMO_SEEDS)(network)
        self._say("the demo's scenes: " + json.dumps({name: round(value, 4) for name, value in metrics.items()}))
        export(network, self._args.out)
        self._say(f"{self._args.out.name}: {self._args.out.stat().st_size} bytes")

    def _state(self) -> dict[str, Any]:
        return {
            "network": self._network.state_dict(),
            "mean": self._mean.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "progress": vars(self._progress),
        }

    def _resume(self) -> None:
        import torch

        path = self._args.work / "state.pt"
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self._network.load_state_dict(state["network"])
        self._mean.network.load_state_dict(state["mean"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._progress = _Progress(**state["progress"])
        self._say(f"taken up at step {self._progress.step}")

    def _keep(self, name: str, state: dict[str, Any]) -> None:
        import torch

        with atomic_write(self._args.work / name) as stream:
            torch.save(state, stream)

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        with (self._args.work / "train_demo.log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def export(network: torch.nn.Module, path: Path) -> None:
    """Write the network as ONNX: input ``input.1`` (1, 3, SIDE, SIDE), output ``output``, batch norms folded."""
    import copy
    import warnings

    import torch

    plain = copy.deepcopy(network).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with atomic_write(path) as stream, warnings.catch_warnings():
        # The exporter that torch prefers by now needs one more package and writes the same network.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            plain,
            (torch.zeros(1, 3, SIDE, SIDE),),
            stream,
            input_names=["input.1"],
            output_names=["output"],
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    sys.exit(main())
