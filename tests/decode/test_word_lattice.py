"""The best readings of a lattice: different words, each by its best path."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from speechunits.decode.kaldi import Arc
from speechunits.decode.word_lattice import Path, WordLattice

# Two frames. Word 1 by two paths (costs 3 and 4), word 2 (5), words 1 2 (6), the second of them said by an arc without frame.
LATTICE = WordLattice(
    [
        (0, 1, 1, 1, 1.0, 1.0),
        (0, 2, 2, 1, 2.0, 1.0),
        (0, 2, 3, 2, 0.0, 4.0),
        (1, 3, 1, 0, 0.25, 0.25),
        (2, 3, 2, 0, 0.25, 0.25),
        (1, 4, 3, 0, 0.5, 3.0),
        (4, 3, 0, 2, 0.0, 0.0),
    ],
    {3: 0.5},
)


def test_beginnings_are_dropped_only_where_that_loses_nothing() -> None:
    """Random lattices against all of their paths."""
    for seed in range(20):
        draw = random.Random(seed)
        arcs = [
            (a, b, draw.randint(1, 3), draw.choice([0, 0, 1, 2]), draw.random(), draw.random())
            for a in range(6)
            for b in range(a + 1, 7)
            for _ in range(2)
        ]
        lattice = WordLattice(arcs, {5: 0.25, 6: 0.5})
        for number in (1, 4, 1000):
            found = [(each.words, each.graph) for each in lattice.best(number)]
            assert found == [(words, pytest.approx(graph)) for words, graph in every(arcs, lattice.finals)[:number]]


def every(arcs: list[Arc], finals: Mapping[int, float]) -> list[tuple[tuple[int, ...], float]]:
    """Words and what the graph says of their best path, the best first."""
    best: dict[tuple[int, ...], tuple[float, float]] = {}

    def walk(state: int, words: tuple[int, ...], cost: float, graph: float) -> None:
        if state in finals:
            best[words] = min(best.get(words, (9e9, 0.0)), (cost + finals[state], graph + finals[state]))
        for begin, end, _, word, of_graph, frame in arcs:
            if begin == state:
                walk(end, words + ((word,) if word else ()), cost + of_graph + frame, graph + of_graph)

    walk(0, (), 0.0, 0.0)
    return [(words, -graph) for words, (_, graph) in sorted(best.items(), key=lambda each: each[1][0])]


def test_readings_by_hand() -> None:
    first = Path((1, 1), (1,), -1.75)
    assert LATTICE.best(1) == [first]
    assert LATTICE.best(2) == [first, Path((3, 2), (2,), -0.75)]
    assert LATTICE.best(9) == [first, Path((3, 2), (2,), -0.75), Path((1, 3), (1, 2), -2.0)]


def test_without_a_path_there_is_no_reading() -> None:
    assert WordLattice([], {}).best(3) == []
