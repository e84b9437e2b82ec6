"""The soak: threads that share decoders for minutes. Every answer is the one computed before, and memory stays flat.

    python tests/soak.py --seconds 600 --threads 8

Each thread goes its own drawn way: single pictures, batches on one to eight threads of their own, calls that have to
fail, and threads that end after one picture, whose memory has to end with them. The inputs are the golden cases, drawn
scenes of many sizes and hostile ones; all threads use the same decoders. An answer counts as right if its bytes, or its
error's words, are those that one thread got before the others were there.

The threads run twice, a while to warm up and then the rest of the time. Memory is flat if
- neither a line through the samples of the second run (but its first quarter, where each new thread's heap fills) nor
  their last fifth above their first rises by more than BOUND;
- once its threads have ended, no more is in use than after the first: by LEFT bytes and BLOCKS of Python's at most.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import golden
import hostile
import memory
import numpy as np

from hrnetae import Decoder
from hrnetae.evaluation.synthetic import draw_scene
from hrnetae.poses import Poses

WARM_UP = 0.2  # of the time
BOUND = 16.0  # MiB
LEFT = 256 << 10
BLOCKS = 2000
_SAMPLES = 300  # of memory in a run of the whole time
_FEWEST = 20  # in any run, however slow the machine
_SIZES = ((640, 480), (333, 500), (427, 640), (100, 80), (1280, 720), (64, 64))
_HOSTILE = 60
_SHOWN = 10  # differences
_THREADS_OF_BATCHES = (1, 2, 3, 8)

Answer = bytes


@dataclass(frozen=True)
class Work:
    """A picture and its decoder. group: pictures of the same group may stand in one batch; None: in none."""

    name: str
    decoder: Decoder
    inputs: dict[str, Any]  # arguments of `Decoder.decode`
    group: int | None


@dataclass
class Tally:
    """What threads did. pictures: decoded and compared."""

    pictures: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Takes over another one's."""
        self.pictures += other.pictures
        self.calls += other.calls
        self.differences += other.differences


# ------------------------------------------------------------------------------------------------------------- inputs


def golden_work() -> list[Work]:
    """The cases that are part of the project; those with the same settings share a decoder."""
    decoders: dict[str, tuple[int, Decoder]] = {}
    made = []
    for case in golden.own_cases():
        recorded = case.load()
        if recorded.status != "ok":
            continue
        inputs = recorded.inputs()
        params, skeleton = inputs.pop("params"), inputs.pop("skeleton")
        group, decoder = decoders.setdefault(repr((params, skeleton)), (len(decoders), Decoder(params, skeleton)))
        made.append(Work(case.name, decoder, inputs, None if inputs["scales"] else group))
    return made


def drawn_work(rng: np.random.Generator) -> list[Work]:
    """Scenes of several sizes, with nobody up to eight people, all for one decoder."""
    decoder = Decoder()
    made = []
    for number, size in enumerate(_SIZES):
        for people in (0, 2, 8):
            side = int(rng.choice((32, 64, 128)))
            scene = draw_scene(rng, people, size, (side, side), noise=1.0)
            inputs = {"output": scene.output, "flipped": scene.flipped, "image_size": size, "scales": None}
            made.append(Work(f"scene {number}, {people} people", decoder, inputs, -1))
    return made


def hostile_work(rng: np.random.Generator) -> list[Work]:
    """Small maps of any content and any settings."""
    made = []
    for number in range(_HOSTILE):
        inputs = hostile.random_case(rng)
        decoder = Decoder(inputs.pop("params"), inputs.pop("skeleton"))
        group = None if inputs["scales"] else -2 - number
        made.append(Work(f"hostile {number}", decoder, inputs, group))
    return made


def wrong_calls(decoder: Decoder) -> dict[str, Callable[[], object]]:
    """Calls that have to fail, by what is wrong with them; the last ones in the midst of a batch."""
    scene = draw_scene(np.random.default_rng(0), 2, (64, 64), (16, 16))
    maps, size = scene.output, (64, 64)
    assert isinstance(maps, np.ndarray)
    broken = [*[maps] * 20, maps[:5], *[maps] * 20]
    return {
        "channels": lambda: decoder.decode(maps[:7], image_size=size),
        "dtype": lambda: decoder.decode(maps.astype(np.float64), image_size=size),
        "no array": lambda: decoder.decode("maps", image_size=size),  # type: ignore[arg-type]
        "flip's shape": lambda: decoder.decode(maps, maps[:, :3], image_size=size),
        "size": lambda: decoder.decode(maps, image_size=(0, 10)),
        "scales": lambda: decoder.decode([maps], image_size=size, scales=(1.0, 2.0)),
        "threads": lambda: decoder.decode_batch([maps], image_sizes=[size], threads=0),
        "sizes of a batch": lambda: decoder.decode_batch([maps] * 3, image_sizes=[size]),
        "one of a batch": lambda: decoder.decode_batch(broken, image_sizes=[size] * 41, threads=1),
        "one of a batch on threads": lambda: decoder.decode_batch(broken, image_sizes=[size] * 41, threads=3),
    }


# ------------------------------------------------------------------------------------------------------------ answers


def as_bytes(poses: Poses) -> Answer:
    """All that an answer holds."""
    return b"|".join(
        bytes(repr((array.dtype.str, array.shape)), "ascii") + array.tobytes()
        for array in (poses.keypoints, poses.scores, poses.tags)
    )


def failure(call: Callable[[], object]) -> Answer:
    """The error of a call that has to fail, in words."""
    try:
        call()
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}".encode()
    return b"no error"


def _alone(work: Work) -> Answer:
    return as_bytes(work.decoder.decode(**work.inputs))


class Soak:
    """The inputs with their answers, computed now by this thread alone, and the calls that threads make of them."""

    def __init__(self, seed: int = 0, answer: Callable[[Work], Answer] = _alone) -> None:
        """answer: how threads decode a single picture."""
        rng = np.random.default_rng(seed)
        self._seed, self._answer = seed, answer
        self.work = [*golden_work(), *drawn_work(rng), *hostile_work(rng)]
        self._expected = [_alone(one) for one in self.work]
        groups = {one.group for one in self.work if one.group is not None}
        # Batches of one decoder's many pictures are as frequent as those of one picture again and again.
        members = [[i for i, one in enumerate(self.work) if one.group == group] for group in sorted(groups)]
        self._groups = [[one for one in members if len(one) > 1], [one for one in members if len(one) == 1]]
        self._wrong = wrong_calls(Decoder())
        self._errors = {name: failure(call) for name, call in self._wrong.items()}
        silent = [name for name, words in self._errors.items() if words == b"no error"]
        if silent:
            raise ValueError(f"calls that have to fail did not: {', '.join(silent)}")

    def run(self, threads: int, seconds: float, sample: Callable[[float], None] | None = None) -> Tally:
        """So many threads for so long. sample: called in this thread now and then, with the seconds that are over."""
        tallies = [Tally() for _ in range(threads)]
        stop = threading.Event()

        def caller(number: int) -> None:
            rng, tally = np.random.default_rng((self._seed, number)), tallies[number]
            try:
                self._call(rng, tally)
                while not stop.is_set():
                    self._call(rng, tally)
            except Exception as error:  # whatever it is, no call may raise it
                tally.differences.append(f"thread {number} ended: {type(error).__name__}: {error}")

        callers = [threading.Thread(target=caller, args=(number,)) for number in range(threads)]
        start, looks = time.perf_counter(), 0
        for one in callers:
            one.start()
        try:
            while (passed := time.perf_counter() - start) < seconds or looks < _FEWEST:
                if sample is not None:
                    sample(passed)
                looks += 1
                stop.wait(seconds / _SAMPLES)
        finally:
            stop.set()
            for one in callers:
                one.join()
        total = Tally()
        for tally in tallies:
            total.add(tally)
        return total

    def _call(self, rng: np.random.Generator, tally: Tally) -> None:
        kind = str(rng.choice(("single", "batch", "error", "short-lived thread"), p=(0.55, 0.15, 0.1, 0.2)))
        tally.calls[kind] += 1
        if kind == "batch":
            self._batch(rng, tally)
        elif kind == "error":
            name = str(rng.choice(list(self._wrong)))
            self._compare(tally, f"error {name}", failure(self._wrong[name]), self._errors[name])
        elif kind == "single":
            self._single(int(rng.integers(len(self.work))), tally)
        else:
            numbers = [int(i) for i in rng.integers(len(self.work), size=2)]
            short = [threading.Thread(target=self._single, args=(number, tally)) for number in numbers]
            for one in short:  # one after the other: they share the tally
                one.start()
                one.join()

    def _single(self, number: int, tally: Tally) -> None:
        tally.pictures += 1
        try:
            answer = self._answer(self.work[number])
        except Exception as error:  # also in a thread of its own it has to be told
            answer = f"{type(error).__name__}: {error}".encode()
        self._compare(tally, self.work[number].name, answer, self._expected[number])

    def _batch(self, rng: np.random.Generator, tally: Tally) -> None:
        groups = self._groups[int(rng.integers(2))]
        group = groups[int(rng.integers(len(groups)))]
        numbers = [int(i) for i in rng.choice(group, int(rng.integers(1, 70)))]
        work = [self.work[i] for i in numbers]
        found = work[0].decoder.decode_batch(
            [one.inputs["output"] for one in work],
            [one.inputs["flipped"] for one in work],
            image_sizes=[one.inputs["image_size"] for one in work],
            threads=int(rng.choice(_THREADS_OF_BATCHES)),
        )
        tally.pictures += len(found)
        for number, poses in zip(numbers, found, strict=True):
            self._compare(tally, f"batch, {self.work[number].name}", as_bytes(poses), self._expected[number])

    @staticmethod
    def _compare(tally: Tally, what: str, found: Answer, expected: Answer) -> None:
        if found != expected:
            tally.differences.append(f"{what}: {found[:120]!r}, expected {expected[:120]!r}")


# ------------------------------------------------------------------------------------------------------------ the run


@dataclass(frozen=True)
class Verdict:
    """What came of a soak. samples: (seconds, MiB) of the second run. left: what is in use more than after the first.
    threads: that are there and were not before."""

    total: Tally
    samples: list[tuple[float, float]]
    left: memory.InUse
    threads: int

    @property
    def grown(self) -> memory.Growth:
        return memory.growth(self.samples[len(self.samples) // 4 :])

    def complaints(self, bound: float = BOUND) -> list[str]:
        """What is wrong, one line each; nothing if all is well."""
        grown = self.grown
        wrong = [f"differs: {line}" for line in self.total.differences[:_SHOWN]]
        if max(grown.slope, grown.step) > bound:
            wrong.append(f"memory grew: {grown}, expected at most {bound} MiB")
        if self.left.heap > LEFT or self.left.blocks > BLOCKS:
            wrong.append(f"memory is left in use: {self.left}, expected at most {LEFT} bytes and {BLOCKS} blocks")
        if self.threads:
            wrong.append(f"{self.threads} threads are left")
        return wrong


def soaked(soak: Soak, threads: int, seconds: float, told: Callable[[str], None] | None = None) -> Verdict:
    """Both runs. told: hears of memory twice a minute."""
    samples: list[tuple[float, float]] = []
    last = -1.0

    def sample(passed: float) -> None:
        nonlocal last
        samples.append((passed, memory.resident()))
        if told is not None and passed // 30 != last:
            last = passed // 30
            told(f"{passed:.0f} s: {samples[-1][1]:.1f} MiB")

    before = threading.active_count()
    total = soak.run(threads, WARM_UP * seconds)
    earlier = memory.in_use()
    total.add(soak.run(threads, (1 - WARM_UP) * seconds, sample))
    return Verdict(total, samples, memory.in_use() - earlier, threading.active_count() - before)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every answer was right and memory flat."""
    parser = argparse.ArgumentParser(description="Threads that share decoders: the same bytes, flat memory.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="callers at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    options = parser.parse_args(arguments)
    soak = Soak(options.seed)
    print(f"{len(soak.work)} inputs, {options.threads} threads, {options.seconds:.0f} s", flush=True)
    verdict = soaked(soak, options.threads, options.seconds, lambda line: print(line, flush=True))
    total, sizes = verdict.total, [size for _, size in verdict.samples]
    print(f"{total.pictures} pictures in {', '.join(f'{count} {name}' for name, count in total.calls.most_common())}")
    print(f"memory {min(sizes):.1f} to {max(sizes):.1f} MiB, {verdict.grown}; left {verdict.left}")
    print(f"{len(total.differences)} differences")
    complaints = verdict.complaints()
    print("\n".join(complaints) or "flat, and the same bytes")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
