"""The readings that a search through a word graph left, and the best of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from speechunits.decode.kaldi import Arc


@dataclass(frozen=True)
class Path:
    """One reading: the label of each frame, the words, and what the graph says of them.

    Args:
        labels: (T,) labels of the frames, from 1.
        words: labels of the words, from 1.
        graph: natural logarithm.
    """

    labels: tuple[int, ...]
    words: tuple[int, ...]
    graph: float


@dataclass(frozen=True)
class WordLattice:
    """Paths through the frames of an utterance, as ``kaldi.search`` and ``k2_lattices.search`` give them.

    Args:
        arcs: the first one from the start, no cycles; none where the graph has no reading.
        finals: state -> cost of ending there.
    """

    arcs: Sequence[Arc]
    finals: Mapping[int, float]

    def best(self, number: int) -> list[Path]:
        """The ``number`` best of different words at most, the best first, each by its best path.

        A state keeps the best path to each of the ``number`` best beginnings (Chow and Schwartz 1989, "The N-best algorithm").
        That is exact: a beginning with ``number`` better ones has as many better sentences. Work and memory are bounded, as
        those of determinization are not.
        """
        reached: dict[int, dict[int, tuple[float, int, int]]] = defaultdict(
            dict
        )  # state -> beginning -> best way there
        longer: dict[tuple[int, int], int] = {}  # beginning, word -> beginning
        ended: dict[int, tuple[float, int]] = {}  # sentence -> cost, state
        if self.arcs:
            reached[self.arcs[0][0]] = {0: (0.0, -1, -1)}
        for state, leaving in self._in_order():
            kept = nsmallest(number, reached[state].items(), key=lambda way: way[1][0])
            reached[state] = dict(kept)
            for beginning, (cost, _, _) in kept:
                whole = cost + self.finals.get(state, float("inf"))
                if whole < ended.get(beginning, (float("inf"), 0))[0]:
                    ended[beginning] = whole, state
                for i in leaving:
                    _, end, _, word, graph, frame = self.arcs[i]
                    after = longer.setdefault((beginning, word), len(longer) + 1) if word else beginning
                    total = cost + graph + frame
                    if after not in reached[end] or total < reached[end][after][0]:
                        reached[end][after] = total, i, beginning
        found = nsmallest(number, ended.items(), key=lambda sentence: sentence[1][0])
        return [self._path(reached, state, beginning) for beginning, (_, state) in found]

    def _in_order(self) -> Iterator[tuple[int, list[int]]]:
        """Each state after all from which arcs lead to it, with the numbers of the arcs that leave it."""
        leaving: dict[int, list[int]] = defaultdict(list)
        waiting = Counter(end for _, end, *_ in self.arcs)
        for i, (begin, *_) in enumerate(self.arcs):
            leaving[begin].append(i)
        ready = [state for state in leaving if not waiting[state]]
        while ready:
            state = ready.pop()
            yield state, leaving[state]
            for i in leaving[state]:
                end = self.arcs[i][1]
                waiting[end] -= 1
                if not waiting[end]:
                    ready.append(end)

    def _path(self, reached: Mapping[int, Mapping[int, tuple[float, int, int]]], state: int, beginning: int) -> Path:
        graph, arcs = self.finals[state], []
        while (way := reached[state][beginning])[1] >= 0:
            _, i, beginning = way
            arcs.append(self.arcs[i])
            state = self.arcs[i][0]
        labels = tuple(label for _, _, label, *_ in reversed(arcs) if label)
        words = tuple(word for _, _, _, word, *_ in reversed(arcs) if word)
        return Path(labels, words, -graph - sum(arc[4] for arc in arcs))
