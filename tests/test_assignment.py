"""The assignment against munkres 1.1.4, pairing for pairing.

Costs that tie have many cheapest pairings, and persons are made of the one that this package returns; so equal cost
is not enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from munkres import Munkres
from numpy.typing import NDArray

from hrnetae import _kernels, reference

Costs = NDArray[np.float64]
Rng = np.random.Generator
Solver = Callable[[Costs], list[int]]


def by_kernel(cost: Costs) -> list[int]:
    column_of_row = np.full(len(cost), -1, np.int32)
    _kernels.assign(np.ascontiguousarray(cost), column_of_row)
    return [int(column) for column in column_of_row]


def by_reference(cost: Costs) -> list[int]:
    return [column for _, column in reference.assign(cost)]


def by_munkres(cost: Costs) -> list[int]:
    pairs = Munkres().compute(cost.tolist())
    assert [row for row, _ in pairs] == list(range(len(cost)))
    return [column for _, column in pairs]


# -------------------------------------------------------------------------------------------------- kinds of matrices


def padded(cost: Costs) -> Costs:
    """As the grouping pads: columns of 1e10 where rows outnumber columns."""
    rows, columns = cost.shape
    return np.pad(cost, ((0, 0), (0, max(0, rows - columns))), constant_values=1e10)


def wide(rng: Rng, rows: int, columns: int) -> tuple[int, int]:
    return min(rows, columns), max(rows, columns)


def few_integers(rng: Rng, rows: int, columns: int) -> Costs:
    return rng.integers(0, 3, wide(rng, rows, columns)).astype(np.float64)


def two_integers(rng: Rng, rows: int, columns: int) -> Costs:
    return (rng.random(wide(rng, rows, columns)) < rng.random()).astype(np.float64)


def level(rng: Rng, rows: int, columns: int) -> Costs:
    return np.full(wide(rng, rows, columns), float(rng.choice([0.0, 1.0, -0.3, 1e10])))


def as_grouped(rng: Rng, rows: int, columns: int, values: NDArray[np.float32], spread: float) -> Costs:
    """rint(distance of tags) * 100 - value."""
    people = rng.normal(size=columns) * spread
    tags = rng.choice(people, rows) + 0.3 * rng.normal(size=rows)
    distance = np.abs(tags.astype(np.float32).astype(np.float64)[:, None] - people)
    ordered = -np.sort(-values).astype(np.float64)
    return padded(np.rint(distance) * 100 - ordered[:, None])


def grouping(rng: Rng, rows: int, columns: int) -> Costs:
    return as_grouped(rng, rows, columns, rng.random(rows).astype(np.float32), float(rng.choice([0.5, 2.0, 20.0])))


def grouping_with_quantised_values(rng: Rng, rows: int, columns: int) -> Costs:
    values = (rng.integers(1, 9, rows) / 8).astype(np.float32)
    return as_grouped(rng, rows, columns, values, float(rng.choice([0.5, 2.0, 20.0])))


def grouping_with_huge_tags(rng: Rng, rows: int, columns: int) -> Costs:
    """Distances that the padding does not dominate, and that absorb the values' digits."""
    return as_grouped(rng, rows, columns, rng.random(rows).astype(np.float32), float(rng.choice([1e6, 1e8, 1e9])))


def distances(rng: Rng, rows: int, columns: int) -> Costs:
    """As without use_detection_val, from quantised tags of two values."""
    tags, people = (rng.integers(-4, 5, (count, 2)) / 4 for count in (rows, columns))
    return padded(np.sqrt(((tags[:, None] - people) ** 2).sum(axis=2)))


def no_ties(rng: Rng, rows: int, columns: int) -> Costs:
    return rng.normal(size=wide(rng, rows, columns)) * float(rng.choice([1.0, 1e-9, 1e12]))


def repeated_rows_and_columns(rng: Rng, rows: int, columns: int) -> Costs:
    rows, columns = wide(rng, rows, columns)
    small = rng.integers(0, 10, (1 + rows // 3, 1 + columns // 3)) / 4
    return np.array(small[rng.integers(0, len(small), rows)][:, rng.integers(0, small.shape[1], columns)])


def mostly_padding(rng: Rng, rows: int, columns: int) -> Costs:
    most = max(rows, columns)
    return as_grouped(rng, most, 1 + min(rows, columns) // 4, rng.random(most).astype(np.float32), 1.0)


KINDS = (
    few_integers,
    two_integers,
    level,
    grouping,
    grouping_with_quantised_values,
    grouping_with_huge_tags,
    distances,
    no_ties,
    repeated_rows_and_columns,
    mostly_padding,
)


def matrices(kind: Callable[[Rng, int, int], Costs], sizes: range, count: int, seed: int) -> list[Costs]:
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    low, high = sizes.start, sizes.stop
    return [kind(rng, int(rng.integers(low, high)), int(rng.integers(low, high))) for _ in range(count)]


def check(solver: Solver, costs: list[Costs]) -> None:
    for cost in costs:
        before = cost.copy()
        assert solver(cost) == by_munkres(cost), cost.tolist()
        np.testing.assert_array_equal(cost, before)


# ---------------------------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("solver", [by_kernel, by_reference])
@pytest.mark.parametrize("kind", KINDS)
def test_small_matrices(kind: Callable[[Rng, int, int], Costs], solver: Solver) -> None:
    check(solver, matrices(kind, range(1, 8), 1000 if solver is by_kernel else 200, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_middling_matrices(kind: Callable[[Rng, int, int], Costs]) -> None:
    check(by_kernel, matrices(kind, range(8, 21), 100, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_large_matrices(kind: Callable[[Rng, int, int], Costs]) -> None:
    check(by_kernel, matrices(kind, range(30, 61), 6, 2))


@pytest.mark.parametrize("kind", [few_integers, grouping_with_quantised_values])
def test_sixty_by_sixty(kind: Callable[[Rng, int, int], Costs]) -> None:
    rng = np.random.default_rng(60)
    check(by_kernel, [kind(rng, 60, 60), kind(rng, 30, 60)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_great_many_matrices(kind: Callable[[Rng, int, int], Costs]) -> None:
    check(by_kernel, matrices(kind, range(1, 13), 5000, 3) + matrices(kind, range(40, 61), 10, 4))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3)])
def test_all_tiny_matrices_of_two_costs(shape: tuple[int, int]) -> None:
    for values in itertools.product((0.0, 1.0), repeat=shape[0] * shape[1]):
        cost = np.array(values).reshape(shape)
        assert by_kernel(cost) == by_reference(cost) == by_munkres(cost), cost.tolist()


@pytest.mark.parametrize("columns", [63, 64, 65, 128, 129, 200])
def test_more_columns_than_a_machine_word(columns: int) -> None:
    # Too large for munkres; reference.assign, which equals it above, searches without bit masks.
    rng = np.random.default_rng(columns)
    for kind in (few_integers, grouping_with_quantised_values, distances):
        cost = kind(rng, columns if kind is distances else 20, columns)
        assert by_kernel(cost) == by_reference(cost)
