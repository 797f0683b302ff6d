"""LayerAnalysis: what every place of every system knows of phones and words, how wide it is, and how alike places are."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, islice

import torch
from torch import Tensor

from speechunits.data.cuts import Cuts
from speechunits.data.segments import Segment, segments
from speechunits.errors import UserError
from speechunits.metrics.effective_rank import effective_rank
from speechunits.metrics.linear_cka import linear_cka
from speechunits.metrics.pwcca import Pwcca, fit_pwcca

log = logging.getLogger(__name__)

Vectors = Mapping[str, Tensor]  # utterance -> (T, D)
Place = tuple[str, str]  # system and candidate


class LayerAnalysis:
    """``cca_phone``, ``cca_word``, ``effective_rank`` of places, and linear CKA between any two of them, of all systems.

    CCA is of the mean vectors of phones and words against what they are, one-hot (Pasad, Chou and Livescu 2021,
    https://arxiv.org/abs/2107.04734): directions are learned on one corpus and measured on another, whose speakers they have
    not seen (there: on parts of one corpus). A corpus without the alignment has no such figure. CCA favours features with
    many dimensions: it is for comparing places of one width. Effective rank is that of centred frames: k-means does not see
    their mean. For CKA a bounded sample of frames stays in memory.

    Utterances are taken in the order of a hash of their ids until there are enough, so neither batches nor the order of the
    manifest decide what is seen.

    Args:
        frames: of the measured corpus for CKA and rank, about.
        segments: phones, and words, of each corpus at most.
        types: different words at most, the most frequent ones; segments of others are left out.
        ridge: see ``metrics.pwcca``.
        alignments: what to look for.
    """

    def __init__(
        self,
        frames: int = 10_000,
        segments: int = 10_000,
        types: int = 500,
        ridge: float = 1e-4,
        alignments: Sequence[str] = ("phone", "word"),
    ) -> None:
        self.frames, self.segments, self.types, self.ridge = frames, segments, types, ridge
        self.alignments = tuple(alignments)
        self._learned: dict[tuple[str, str], tuple[Pwcca, list[str]]] = {}  # (candidate, alignment) of one system
        self._kept: dict[Place, tuple[Fraction, dict[str, Tensor]]] = {}

    def learn(self, vectors: Mapping[str, Vectors], cuts: Cuts, hop: Fraction, silence: Sequence[str] = ()) -> None:
        """Learn the directions of one system's candidates from utterances of ``cuts``; forgets those of the last system."""
        self._learned = {}
        for alignment in self.alignments:
            found = self._segments(next(iter(vectors.values())), cuts, alignment, hop, silence)
            common = Counter(s.symbol for _, s in found).most_common(self.types)
            names = sorted(symbol for symbol, _ in common)
            if len(names) < 2:
                log.info("%s: no %s alignment, so no cca_%s", cuts.paths[0], alignment, alignment)
                continue
            for name, of in vectors.items():
                self._learned[name, alignment] = fit_pwcca(*pooled(of, found, names), self.ridge), names

    def measure(
        self, system: str, vectors: Mapping[str, Vectors], cuts: Cuts, hop: Fraction, silence: Sequence[str] = ()
    ) -> dict[str, dict[str, float]]:
        """Candidate -> figures on ``cuts``; keeps the frames that ``similarity`` compares."""
        out: dict[str, dict[str, float]] = {name: {} for name in vectors}
        for alignment in self.alignments:
            found = self._segments(next(iter(vectors.values())), cuts, alignment, hop, silence)
            for name, of in vectors.items():
                if (name, alignment) in self._learned and found:
                    learned, names = self._learned[name, alignment]
                    x, y = pooled(of, found, names)
                    out[name][f"cca_{alignment}"] = learned(x, y) if len(x) > 1 else float("nan")
        for name, of in vectors.items():
            self._kept[system, name] = hop, {key: of[key] for key in self._sample(of)}
            frames = torch.cat(list(self._kept[system, name][1].values())).double()
            out[name]["effective_rank"] = effective_rank(frames - frames.mean(0))
        return out

    def similarity(self) -> Iterator[tuple[Place, Place, float]]:
        """Linear CKA of any two places that were measured, on the coarsest of all grids.

        Raises:
            UserError: two systems' hops are in no integer ratio.
        """
        if not self._kept:
            return
        grid = max(hop for hop, _ in self._kept.values())
        step = {place: grid / hop for place, (hop, _) in self._kept.items()}
        if odd := [system for (system, _), ratio in step.items() if ratio.denominator > 1]:
            raise UserError(
                f"systems.{odd[0]}: its hop is in no integer ratio to {grid} s, so CKA has no common frames; set its every, or "
                "leave analysis out"
            )
        thin = {p: {key: x[:: int(step[p])] for key, x in kept.items()} for p, (_, kept) in self._kept.items()}
        common = set.intersection(*map(set, thin.values()))
        length = {key: min(len(of[key]) for of in thin.values()) for key in sorted(common)}
        frames = [torch.cat([of[key][:n] for key, n in length.items()]) for of in thin.values()]
        matrix = linear_cka(frames)
        for (i, one), (j, other) in combinations(enumerate(thin), 2):
            yield one, other, float(matrix[i, j])

    def _sample(self, vectors: Vectors) -> list[str]:
        """Utterances that together have ``frames`` frames, or all: of two systems' samples one is the other's beginning."""
        seen, chosen = 0, []
        for key in shuffled(vectors):
            if seen < self.frames:
                chosen.append(key)
                seen += len(vectors[key])
        return chosen

    def _segments(
        self, vectors: Vectors, cuts: Cuts, alignment: str, hop: Fraction, silence: Sequence[str]
    ) -> list[tuple[str, Segment]]:
        found = ((key, s) for key in shuffled(vectors) for s in segments(cuts[cuts.row(key)], alignment, hop))
        heard = ((key, s) for key, s in found if s.symbol not in silence and s.start < len(vectors[key]))
        return list(islice(heard, self.segments))


def shuffled(keys: Iterable[str]) -> list[str]:
    """In an order that depends on nothing but the names."""
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())


def pooled(vectors: Vectors, found: Sequence[tuple[str, Segment]], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Mean vectors (N, D) of the segments of ``names``, and which they are (N, V), one-hot."""
    place = {name: i for i, name in enumerate(names)}
    known = [(key, s) for key, s in found if s.symbol in place]
    means = [vectors[key][s.start : s.end].double().mean(0) for key, s in known]
    width = next(iter(vectors.values())).size(-1)
    which = torch.tensor([place[s.symbol] for _, s in known], dtype=torch.int64)
    return torch.stack(means) if means else torch.zeros(0, width), torch.nn.functional.one_hot(which, len(names))
