"""Live memory of a k-means fit, whatever the length of the corpus."""

from __future__ import annotations

import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import pad
from tests.quantizers.mixture import HOP, Batch, Corpus, run, silent


class Peak(TorchDispatchMode):
    """Bytes of live tensor storages, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[int] = set()
        self.live = self.most = 0

    def free(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor):
                storage = x.untyped_storage()
                if id(storage) not in self.known:
                    self.known.add(id(storage))
                    self.live += storage.nbytes()
                    weakref.finalize(storage, self.free, id(storage), storage.nbytes())
        self.most = max(self.most, self.live)
        return out


def test_memory_is_bounded_whatever_the_corpus(tmp_path: Path) -> None:
    dim, reservoir, per_batch = 64, 20_000, 500

    def stream(batches: int) -> Any:
        def batch(i: int) -> Batch:
            return i, [f"{i}"], pad([torch.randn(per_batch, dim, generator=torch.Generator().manual_seed(i))], HOP)

        return lambda start: (batch(i) for i in range(start, batches))

    with Peak():
        run(tmp_path / "warm", Corpus())  # what is imported on first use is no memory of the fit
    peaks = {}
    for batches in (60, 240):  # 1.5 and 6 times the reservoir
        fitter = KMeansFitter(10, reservoir=reservoir, extra_passes=1, iterations=1, save_every=30)
        tracemalloc.start()
        with Peak() as peak:
            _, figures = fitter.fit(stream(batches), folder=tmp_path / str(batches), report=silent)
        arrays = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert figures["frames"] == batches * per_batch
        peaks[batches] = peak.most
        frame = dim * 4
        assert 2 * reservoir * frame < peak.most < (2.2 * reservoir + 4 * per_batch + 2 * 4096) * frame
        assert arrays < 48 * reservoir + 400_000  # keys and orders in numpy; the interpreter's own
    assert peaks[240] < 1.01 * peaks[60]
