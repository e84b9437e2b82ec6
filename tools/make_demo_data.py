"""Draw the bundled demo scenes anew: ``python -m hrnetae.tools.make_demo_data [--out DIR]``.

For maintainers, after a change of hrnetae/evaluation/synthetic.py: DIR is then hrnetae/data of the checkout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hrnetae.evaluation import synthetic
from hrnetae.files import atomic_write


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hrnetae.tools.make_demo_data", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("hrnetae/data"), help="folder for demo.npz and demo.json")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    folder: Path = build_parser().parse_args(argv).out
    scenes = synthetic.draw_demo()
    truth = synthetic.ground_truth(scenes)
    arrays = {}
    for image, scene in zip(truth["images"], scenes, strict=True):
        stem = image["file_name"].partition(".")[0]
        arrays[stem], arrays[f"{stem}_flip"] = scene.output, scene.flipped
    with atomic_write(folder / "demo.npz") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    with atomic_write(folder / "demo.json") as stream:
        stream.write((json.dumps(truth, separators=(",", ":")) + "\n").encode())
    size = sum((folder / name).stat().st_size for name in ("demo.npz", "demo.json"))
    print(f"{len(scenes)} scenes, {len(truth['annotations'])} people, {size} bytes in {folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
