"""``python -m bench.throughput``: vamp's throughput beside a bare ONNX Runtime loop on the same network.

The loop does nothing but run one input again and again, with as many threads as vamp has; vamp reads, preprocesses,
infers and writes. The two take turns, so that other load on the machine meets both. Prints samples a second by the
clock, and processor seconds a sample; the ratios are those of the medians.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hrnetae.decoder import available_processors
from hrnetae.runtime.conversion import ConvertJob, convert
from hrnetae.runtime.vamp import Vamp, VampJob

Sample = tuple[float, float]  # seconds by the clock, and of the processors


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.throughput", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="the network, ONNX, of a fixed shape")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--vdsp_params", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        job = prepare(args, Path(name))
        loop = bare_loop(args.model, args.threads)
        with Vamp(job) as vamp:
            count = len(vamp.todo)
        found: dict[str, list[Sample]] = {"bare loop": [], "vamp": []}
        for _ in range(args.rounds):
            found["bare loop"].append(timed(loop, count))
            found["vamp"].append(run_vamp(job))
    for title, samples in found.items():
        clock, processor = (median(column) for column in zip(*samples, strict=True))
        print(f"{title:10} {1 / clock:8.2f} samples/s   {processor:8.4f} processor seconds a sample")
    clocks = {title: median(clock for clock, _ in samples) for title, samples in found.items()}
    print(f"vamp's throughput is {clocks['bare loop'] / clocks['vamp']:.3f} of the loop's; {count} samples a round")
    return 0


def prepare(args: argparse.Namespace, folder: Path) -> VampJob:
    """The inputs, and the job without --resume: every run makes all of them."""
    convert(ConvertJob(args.pictures, folder / "npz", folder / "list.txt", workers=args.threads))
    return VampJob(
        str(args.model), args.vdsp_params, folder / "list.txt", path_output=folder / "out", threads=args.threads
    )


def bare_loop(model: Path, threads: int) -> Callable[[], Any]:
    """Run the network once, on random numbers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    one = session.get_inputs()[0]
    feed = {one.name: np.random.default_rng(0).normal(size=one.shape).astype(np.float32)}
    return lambda: session.run(None, feed)


def timed(loop: Callable[[], Any], count: int) -> Sample:
    """The loop, so many times."""
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        loop()
    return (time.perf_counter() - clock) / count, (time.process_time() - processor) / count


def run_vamp(job: VampJob) -> Sample:
    """What vamp itself measures, from the first sample's reading to the last one's writing; the model is open then."""
    with Vamp(job) as vamp:
        run = vamp.run(1)
    used = sum(process.cpu_seconds for process in run.report.processes)
    return run.report.seconds / run.samples, used / run.samples


if __name__ == "__main__":
    sys.exit(main())
