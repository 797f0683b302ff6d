"""Mixture: how much of an epoch each corpus or language takes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from speechunits.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mixture:
    """Shares of training time, by temperature and by hand.

    Corpus c of s_c seconds takes a share proportional to ``weight_c * s_c ** (1 / temperature)``: 1 leaves corpora as
    large as they are, infinity makes them equal (XLS-R, arXiv:2111.09296, section 2.2, whose alpha is 1 / temperature).
    Where corpora are grouped (``{en: {mls: ..., cv: ...}, es: ...}``), groups are mixed first and then the corpora of
    each, as there. An epoch is as long as all corpora together.

    Args:
        temperature: at least 1, or ``inf``.
        weights: name of a corpus or group (``en``, ``en.mls``) -> factor; 1 where not named.

    Raises:
        UserError: out of range, or a weight of a corpus that is not there.
    """

    temperature: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.temperature >= 1:
            raise UserError(f"mixture.temperature={self.temperature}: give 1 (as large as they are) or more")
        for name, weight in self.weights.items():
            if not 0 < weight < float("inf"):
                raise UserError(f"mixture.weights.{name}={weight}: give a number above 0, or leave the corpus out")

    def shares(self, corpora: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, float]:
        """Name of each corpus -> its share of the time; they sum to 1. ``corpora`` may be nested, names are joined by dots."""
        if strange := set(self.weights) - {name for name, _ in named(corpora, groups=True)}:
            there = ", ".join(name for name, _ in named(corpora, groups=True))
            raise UserError(f"mixture.weights.{min(strange)}: no such corpus; there are {there}")
        return dict(self._shares(corpora, seconds, "", 1.0))

    def _shares(
        self, corpora: Mapping[str, Any], seconds: Mapping[str, float], at: str, whole: float
    ) -> Iterator[tuple[str, float]]:
        def size(name: str) -> float:
            return sum(s for n, s in seconds.items() if n == name or n.startswith(f"{name}."))

        sizes = {name: size(at + name) for name in corpora}
        largest = max(sizes.values())
        pull = {n: self.weights.get(at + n, 1.0) * (s / largest) ** (1 / self.temperature) for n, s in sizes.items()}
        for name, inside in corpora.items():
            share = whole * pull[name] / sum(pull.values())
            if isinstance(inside, Mapping):
                yield from self._shares(inside, seconds, f"{at}{name}.", share)
            else:
                yield at + name, share


def named(corpora: Mapping[str, Any], at: str = "", groups: bool = False) -> Iterator[tuple[str, Any]]:
    """(``en.mls``, its paths) of nested corpora, in order; of groups too if asked."""
    for name, inside in corpora.items():
        if groups or not isinstance(inside, Mapping):
            yield at + name, inside
        if isinstance(inside, Mapping):
            yield from named(inside, f"{at}{name}.", groups)


class Mixed:
    """The cuts of every epoch under given shares: a pure function of (seed, epoch), the same for any number of ranks.

    A corpus of N cuts gets n places in an epoch. They divide its cuts, sorted by length, into n parts of N / n cuts; each
    epoch draws one cut of every part. So a cut is heard n / N times an epoch on average, and at least floor(n / N) - 1 and
    at most ceil(n / N) + 1 times in any; n = N hears each exactly once. Since a place always holds cuts of like length,
    the shape of the batch plan is the same in every epoch.

    Args:
        seconds: (M,) of the cuts that may be used, as they will be loaded.
        rows: (M,) their numbers.
        corpus: (M,) which corpus each belongs to, numbers into ``shares``.
        shares: name -> share of the time, see ``Mixture``.
        seed: of the draws.

    Attributes:
        seconds: (P,) longest cut of each place: what the batch plan counts.
        name: mixtures with the same name draw the same.
    """

    def __init__(
        self, seconds: np.ndarray, rows: np.ndarray, corpus: np.ndarray, shares: Mapping[str, float], seed: int = 0
    ) -> None:
        self._seed = seed
        self._sorted: list[np.ndarray] = []
        self._places: list[int] = []
        longest = []
        for number, (name, share) in enumerate(shares.items()):
            mine = np.flatnonzero(corpus == number)
            mine = mine[np.argsort(seconds[mine], kind="stable")]
            count = max(1, round(share * float(seconds.sum()) / float(seconds[mine].mean())))
            last = (np.arange(count, dtype=np.int64) * len(mine) + len(mine) - 1) // count
            longest.append(seconds[mine][last])
            self._sorted.append(rows[mine])
            self._places.append(count)
            log.info("%s: %.1f %% of the time, each cut %.2f times an epoch", name, 100 * share, count / len(mine))
        self.seconds = np.concatenate(longest)
        about = f"{seed}\0{self._places}".encode()
        self.name = hashlib.sha256(about + b"".join(s.tobytes() for s in self._sorted)).hexdigest()[:16]

    def epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """((P,) row of the cut in each place, (P,) how often it came before in this epoch)."""
        drawn = []
        for number, (cuts, count) in enumerate(zip(self._sorted, self._places, strict=True)):
            digest = hashlib.sha256(f"mixture\0{self._seed}\0{epoch}\0{number}".encode()).digest()
            random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
            start = np.arange(count, dtype=np.int64) * len(cuts)
            drawn.append(cuts[(start + random.integers(len(cuts), size=count)) // count])
        rows = np.concatenate(drawn)
        order = np.argsort(rows, kind="stable")
        first = np.flatnonzero(np.diff(rows[order], prepend=-1))
        visits = np.empty_like(rows)
        visits[order] = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
        return rows, visits
