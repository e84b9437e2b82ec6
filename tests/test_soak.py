"""The soak and the long evaluation, both short: the same bytes, flat memory, and checks that can fail.

`make soak` is the same for ten minutes and 20,000 pictures.
"""

from __future__ import annotations

from pathlib import Path

import memory
import pytest
import soak
import soak_eval

pytestmark = pytest.mark.skipif(not memory.CAN_MEASURE, reason="memory is measured on Linux with glibc")

SHORT = 2.0  # seconds
BOUND = 64.0  # MiB: in so short a time the threads' heaps still fill
THREADS = 8


def test_eight_threads_give_the_same_bytes_in_flat_memory() -> None:
    verdict = soak.soaked(soak.Soak(), THREADS, SHORT)
    assert verdict.complaints(BOUND) == []
    assert verdict.total.pictures >= 2 * THREADS and sum(verdict.total.calls.values()) >= 2 * THREADS


def test_a_bit_that_differs_once_is_found() -> None:
    calls = iter(range(1 << 30))

    def once_wrong(work: soak.Work) -> soak.Answer:
        answer = bytearray(soak.as_bytes(work.decoder.decode(**work.inputs)))
        answer[-1] ^= next(calls) == 2
        return bytes(answer)

    total = soak.Soak(answer=once_wrong).run(THREADS, 0.1)
    assert len(total.differences) == 1


def test_an_error_that_should_not_be_is_found() -> None:
    def fails(_: soak.Work) -> soak.Answer:
        raise RuntimeError("planted")

    total = soak.Soak(answer=fails).run(THREADS, 0.1)
    assert total.differences and all("RuntimeError: planted" in line for line in total.differences)


def test_memory_that_is_not_given_back_is_found() -> None:
    kept = []

    def leaks(work: soak.Work) -> soak.Answer:
        kept.append(bytearray(2 * soak.LEFT))
        return soak.as_bytes(work.decoder.decode(**work.inputs))

    verdict = soak.soaked(soak.Soak(answer=leaks), THREADS, 1.0)
    complaints = verdict.complaints(BOUND)  # of its growth, too, where many answers came in that time
    assert any("left in use" in line for line in complaints) and all("memory" in line for line in complaints)


def test_growth_is_told_from_wavering() -> None:
    seconds = range(100)
    wavering = memory.growth([(float(t), 200.0 + 9 * (t % 2)) for t in seconds])
    assert abs(wavering.slope) < 1 and abs(wavering.step) < 1
    line = memory.growth([(float(t), 200.0 + 0.3 * t + 9 * (t % 2)) for t in seconds])
    assert line.slope == pytest.approx(0.3 * 99, abs=1) and line.step == pytest.approx(0.3 * 80, abs=1)
    step = memory.growth([(float(t), 200.0 + 20 * (t > 90)) for t in seconds])
    assert step.step == 0 and step.slope > 0
    assert memory.growth([(float(t), 200.0 + 20 * (t > 85)) for t in seconds]).step == 20


@pytest.mark.parametrize("planted", [0, 2048])
def test_an_evaluation_keeps_the_persons_and_nothing_else(planted: int, tmp_path: Path) -> None:
    kept = []
    pictures, early = 2000, 400
    held = soak_eval.evaluate_measured(
        soak_eval.make_folder(tmp_path, pictures), early, lambda: kept.append(bytes(planted)) if planted else None
    )
    assert (held.early.pictures, held.late.pictures, held.report.images) == (early, pictures, pictures)
    assert held.report.persons >= pictures and soak_eval.bytes_per_person(held.report.results) == 240
    assert held.is_bounded == (not planted), (held.heap, held.resident)
