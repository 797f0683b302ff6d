"""A Gaussian mixture in batches, and a k-means of it that can be broken off."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechunits.quantizers.kmeans import KMeans
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import Seq, pad

HOP = Fraction(1, 50)
Batch = tuple[int, list[str], Seq]


class Corpus:
    """Utterances of a Gaussian mixture, in batches; can break off before a batch of a pass."""

    def __init__(self, utterances: int = 60, dim: int = 6, clusters: int = 12, per_batch: int = 4) -> None:
        draws = np.random.default_rng(0)
        centres = draws.normal(size=(clusters, dim)) * 3
        self.items = {}
        for i in range(utterances):
            label = draws.choice(clusters, size=int(draws.integers(5, 40)), p=np.arange(1, clusters + 1) / 78)
            noise = draws.normal(size=(len(label), dim))
            self.items[f"utt-{i}"] = torch.from_numpy(centres[label] + noise).float()
        self.per_batch = per_batch
        self.served: list[tuple[int, int]] = []
        self.passes = 0
        self.stop_at: tuple[int, int] | None = None  # (pass, batch)

    @property
    def frames(self) -> torch.Tensor:
        return torch.cat(list(self.items.values()))

    def __call__(self, start: int) -> Iterator[Batch]:
        self.passes += start == 0
        names = list(self.items)
        for index in range(start, -(-len(names) // self.per_batch)):
            if self.stop_at == (self.passes, index):
                raise KeyboardInterrupt
            self.served.append((self.passes, index))
            ids = names[index * self.per_batch : (index + 1) * self.per_batch]
            yield index, ids, pad([self.items[name] for name in ids], HOP)


def inertia(frames: torch.Tensor, centroids: torch.Tensor) -> float:
    return float(torch.cdist(frames.double(), centroids.double()).min(1).values.pow(2).mean())


def silent(figures: dict[str, Any]) -> None:
    pass


class Interrupted(Exception):
    pass


def run(folder: Path | None, corpus: Corpus, stop_after: int | None = None) -> tuple[KMeans, dict[str, Any]]:
    """A fit with every stage; ``stop_after`` breaks it off in the n-th report."""
    reports = 0

    def report(figures: dict[str, Any]) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            raise Interrupted

    fitter = KMeansFitter(12, reservoir=200, n_init=2, iterations=2, tolerance=0, extra_passes=2, save_every=4)
    return fitter.fit(corpus, folder=folder, report=report)


def same(a: tuple[KMeans, dict[str, Any]], b: tuple[KMeans, dict[str, Any]]) -> bool:
    return torch.equal(a[0].centroids, b[0].centroids) and a[1] == b[1]
