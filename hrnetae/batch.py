"""Many images on several threads.

Python runs one thread at a time, so a thread that came back to Python after each image would wait for the others. Here
the images are brought in order in portions, and each thread decodes of a portion what no other has taken in one call of
the kernels, without Python. Two portions are under way: while the threads work on one, the next is brought in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hrnetae import _kernels
from hrnetae.outputs import OutputMaps

# An image's maps and its (width, height).
Image = tuple[OutputMaps, tuple[int, int]]
# An image's keypoints, scores and tags.
People = tuple[Any, Any, Any]
# Images of a portion for each thread: enough that the portions' ends do not count, few enough to be held in memory.
PORTION = 32


@dataclass(frozen=True)
class _Portion:
    """Images that the threads are working on."""

    first: int
    images: object  # of _kernels.open_batch
    work: list[Future[None]]


def decode_all(
    count: int, image_at: Callable[[int], Image], kernel_arguments: Sequence[Any], threads: int
) -> list[People]:
    """What the kernels' ``decode`` returns, for each of ``count`` images.

    image_at: an image by its number; it may raise. kernel_arguments: those of ``open_batch`` after the images.
    An interrupt or an error ends the work after the images that the threads have in hand.
    """
    people: list[People] = []
    under_way: deque[_Portion] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for first in range(0, count, PORTION * threads):
                if len(under_way) == 2:
                    people += _people_of(under_way[0])
                    under_way.popleft()
                numbers = range(first, min(first + PORTION * threads, count))
                images = _kernels.open_batch([image_at(i) for i in numbers], *kernel_arguments)
                under_way.append(_Portion(first, images, []))
                under_way[-1].work.extend(pool.submit(_kernels.decode_batch, images) for _ in range(threads))
            for portion in under_way:
                people += _people_of(portion)
        except BaseException:
            for portion in under_way:
                _kernels.stop_batch(portion.images)
            raise
    return people


def _people_of(portion: _Portion) -> list[People]:
    """Waits for the threads."""
    for work in portion.work:
        work.result()
    found: list[People] = []
    for people in _kernels.people_of_batch(portion.images):
        if people is None:
            raise MemoryError(f"image {portion.first + len(found)} of the batch: no memory is left")
        found.append(people)
    return found
