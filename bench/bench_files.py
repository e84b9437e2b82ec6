"""Reading an image's two files, beside reading their bytes into one buffer; the files are in the page cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import hrnetae
from bench.scenes import Setting, draw, ring_of
from bench.timing import beside
from hrnetae.files import read_outputs, write_outputs
from hrnetae.files.npz import Maps, ReadBuffer

Pair = tuple[Path, Path]
SIZE = (640, 480)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """Stored npz files as vamp writes them: more of them than the last-level cache holds."""
    folder = tmp_path_factory.mktemp("npz")
    found = []
    for number, scene in enumerate(ring_of(draw(Setting(people=5, image_size=SIZE)))):
        pair = folder / f"output_{2 * number:06d}.npz", folder / f"output_{2 * number + 1:06d}.npz"
        for path, maps in zip(pair, (scene.output, scene.flipped), strict=True):
            write_outputs(path, [maps])
        found.append(pair)
    return found


def read_bytes_into(buffer: memoryview, pair: Pair) -> None:
    end = 0
    for path in pair:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  the shortest way
            end += file.readinto(buffer[end:])


def read_afresh(pair: Pair) -> object:
    return read_outputs(pair[0]), read_outputs(pair[1])


class Reuse:
    """Reads as ``hrnetae eval`` does, into the same memory again and again."""

    def __init__(self) -> None:
        self.buffers = ReadBuffer(), ReadBuffer()
        self.decoder = hrnetae.Decoder()

    def read(self, pair: Pair) -> list[tuple[Maps, ...]]:
        return [read_outputs(path, into=buffer) for path, buffer in zip(pair, self.buffers, strict=True)]

    def read_and_sum(self, pair: Pair) -> object:
        """Meets every byte: where reading only maps a file, its pages come with the first touch."""
        return [np.add.reduce(maps.view(np.uint64), axis=None) for (maps,) in self.read(pair)]

    def read_and_decode(self, pair: Pair) -> object:
        return self.decoder.decode(*self.read(pair), image_size=SIZE)


def load(pair: Pair) -> list[NDArray[Any]]:
    arrays = []
    for path in pair:
        with np.load(path) as file:
            arrays.append(file["output_0"])
    return arrays


READERS: dict[str, Callable[[Pair], object]] = {
    "read": Reuse().read,
    "read, fresh memory": read_afresh,
    "read and sum up": Reuse().read_and_sum,
    "read and decode": Reuse().read_and_decode,
    "numpy.load": load,
}


@pytest.mark.parametrize("title", READERS)
@pytest.mark.usefixtures("suite")
def bench_read(benchmark: BenchmarkFixture, pairs: list[Pair], title: str) -> None:
    for pair in pairs[:2]:
        np.testing.assert_array_equal([maps for path in pair for maps in read_outputs(path)], np.squeeze(load(pair)))
    buffer = memoryview(bytearray(max(sum(path.stat().st_size for path in pair) for pair in pairs)))
    beside(
        benchmark,
        title,
        pairs,
        READERS[title],
        pairs,
        lambda pair: read_bytes_into(buffer, pair),
        "their bytes into a buffer",
    )
