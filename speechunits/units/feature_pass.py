"""FeaturePass: one pass over a corpus, batch by batch, the same batches for any number of processes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from socket import gethostname
from typing import Any

import numpy as np
import torch

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.batch_loader import BatchLoader
from speechunits.data.batch_plan import evaluation_batches
from speechunits.data.cuts import Cuts
from speechunits.data.field import Field
from speechunits.errors import UserError
from speechunits.ranks import share_of_work
from speechunits.seq import Seq
from speechunits.units.features import Features

log = logging.getLogger(__name__)


class FeaturePass:
    """The batches of a corpus in one global order; process r of W works on batches r, r + W, r + 2W ...

    Args:
        cuts: the corpus.
        fields: batch name -> Field; needs "audio".
        max_seconds: of one batch, padding included.
        min_duration: seconds; shorter cuts are left out and counted.
        share: of the cuts, drawn evenly over the corpus; 1 = all.
        num_workers: loader processes.
        device: where features are computed.
        rank, ranks: of this process; None = from torch.distributed, else from torchrun or srun.

    Raises:
        UserError: ``share`` is none, or no cut is left.
    """

    def __init__(
        self,
        cuts: Cuts,
        fields: Mapping[str, Field],
        max_seconds: float = 60.0,
        min_duration: float = 0.05,
        share: float = 1.0,
        num_workers: int = 0,
        device: str | torch.device = "cpu",
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        if not 0 < share <= 1:
            raise UserError(f"share={share:g}: of the cuts, above 0 and at most 1")
        self.cuts, self.dataset = cuts, BatchDataset(cuts, fields, sampling=False)
        self.num_workers, self.device = num_workers, device
        mine, several = share_of_work()
        self.rank, self.ranks = mine if rank is None else rank, several if ranks is None else ranks
        rows = np.flatnonzero(cuts.seconds >= min_duration)
        if len(rows) < len(cuts):
            log.warning(
                "%d of %d cuts are shorter than %g s and are left out", len(cuts) - len(rows), len(cuts), min_duration
            )
        if share < 1:
            rows = rows[np.linspace(0, len(rows) - 1, max(1, round(share * len(rows)))).astype(int)]
        if not len(rows):
            raise UserError(f"{', '.join(map(str, cuts.paths))}: no cut of at least {min_duration:g} s is left")
        self.batches = evaluation_batches(cuts.seconds, max_seconds, 1, rows)[0]
        self.seconds = float(cuts.seconds[rows].sum())
        self.bad: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Same name, same batches."""
        digest = hashlib.sha256(self.cuts.hash.encode())
        for batch in self.batches:
            digest.update(np.asarray(batch, np.int64).tobytes() + b"|")
        return digest.hexdigest()[:16]

    def mine(self, start: int = 0) -> list[int]:
        """The global indices from ``start`` on that this process works on."""
        return [i for i in range(start, len(self.batches)) if i % self.ranks == self.rank]

    def __call__(self, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """(index in the global order, batch) of this process from ``start`` on; unreadable cuts go to ``bad``."""
        return self.only(self.mine(start))

    def only(self, indices: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The same of these indices, whosever they are."""
        loader = BatchLoader(self.dataset, _Some(self, indices), self.num_workers)
        loader.bad = self.bad
        for number, batch in loader.numbered():
            yield indices[number], {k: v.to(self.device) if hasattr(v, "to") else v for k, v in batch.items()}

    def features(self, features: Features) -> FeatureStream:
        """A feature stream for ``KMeansFitter``: every call is one pass."""
        return FeatureStream(self, features)


@dataclass
class _Some:
    """Some batches of a pass, planned when their turn comes."""

    of: FeaturePass
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Planned]:
        mine = f"rank {self.of.rank} on {gethostname()}, batch"
        return (Planned(0, tuple(self.of.batches[i].tolist()), place=f"{mine} {i}") for i in self.indices)


class FeatureStream:
    """``stream(start)`` yields (index, ids, features); see ``quantizers.feature_stream``."""

    def __init__(self, batches: FeaturePass, features: Features) -> None:
        self.batches, self.features = batches, features.to(batches.device).eval()

    @torch.inference_mode()
    def _read(self, audio: Seq) -> Seq:
        return self.features(audio)  # type: ignore[no-any-return]

    def __call__(self, start: int = 0) -> Iterator[tuple[int, list[str], Seq]]:
        for index, batch in self.batches(start):
            yield index, batch["ids"], self._read(batch["audio"])
