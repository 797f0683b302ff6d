"""KMeansFitter: k-means from a stream of features that are never written to disk, in bounded memory."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechunits import ranks
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.quantizers.feature_stream import FeatureStream, utterances, windows
from speechunits.quantizers.kmeans import KMeans, nearest
from speechunits.quantizers.kmeans_checkpoint import KMeansCheckpoint, Progress
from speechunits.quantizers.lloyd import lloyd, means, plus_plus, split, sums
from speechunits.quantizers.reservoir import Reservoir, frame_keys

MERGED = "reservoir-merged.safetensors"
SEEDING = 40  # frames per cluster that k-means++ looks at
DECISIVE = ("size", "reservoir", "share", "iterations", "tolerance", "n_init", "extra_passes", "seed")  # of the result
Report = Callable[[dict[str, Any]], None]


def log(figures: dict[str, Any]) -> None:
    """The default report: one line per event."""
    logging.getLogger(__name__).info(
        "k-means %s", " ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in figures.items())
    )


class KMeansFitter:
    """Fits ``KMeans`` in ``pass_budget`` passes over the features: 1 to fill a reservoir, then ``extra_passes``.

    Lloyd's iteration runs on the reservoir, a uniform sample of all frames held in memory; each extra pass is one more
    iteration over every frame of the stream. The peak is 2.2 * reservoir * D * 4 bytes (``Reservoir``) plus a few
    batches, 4096 frames and the centroids in float64, whatever the corpus. Centroids are bit for bit the same for any
    number of ranks (with equal thread counts), and after any interruption when a folder keeps the state.

    Source: HuBERT's k-means (arXiv 2106.07447, IV-B: k-means++, MiniBatchKMeans, 20 initialisations, a tenth of the
    utterances) with Lloyd's iteration in place of mini-batches and one initialisation; ``tools/bench/kmeans.py``
    compares both in time and inertia.

    Args:
        size: number of clusters K.
        reservoir: frames kept in memory.
        share: share of the utterances that are looked at, 0..1, drawn by id (``in_share``), in every pass.
        iterations: Lloyd iterations per initialisation, at most.
        tolerance: stop when an iteration lowers the inertia by less than this share of it.
        n_init: initialisations; the one with the lowest inertia on the reservoir wins.
        extra_passes: further passes over the features.
        seed: of the sample and of k-means++.
        save_every: batches of the global plan between two checkpoints.
    """

    def __init__(
        self,
        size: int,
        *,
        reservoir: int = 500_000,
        share: float = 1.0,
        iterations: int = 20,
        tolerance: float = 5e-4,
        n_init: int = 1,
        extra_passes: int = 0,
        seed: int = 0,
        save_every: int = 1000,
    ) -> None:
        if reservoir < size:
            raise UserError(f"a reservoir of {reservoir} frames cannot seed {size} clusters: give at least size")
        if not 0 < share <= 1:
            raise UserError(f"share is {share}: give the share of the utterances as a number above 0 and at most 1")
        if min(size, n_init, save_every) < 1 or min(iterations, extra_passes) < 0:
            raise UserError(
                f"k-means got size={size}, n_init={n_init}, save_every={save_every} (each at least 1), "
                f"iterations={iterations}, extra_passes={extra_passes} (each at least 0): mend the one out of range"
            )
        self.size, self.reservoir, self.share, self.seed = size, reservoir, share, seed
        self.iterations, self.tolerance, self.n_init = iterations, tolerance, n_init
        self.extra_passes, self.save_every = extra_passes, save_every

    @property
    def pass_budget(self) -> int:
        """Passes over the features that a fit takes, all told."""
        return 1 + self.extra_passes

    def fit(
        self,
        stream: FeatureStream,
        *,
        folder: Path | None = None,
        source: str = "",
        device: torch.device | str = "cpu",
        report: Report = log,
    ) -> tuple[KMeans, dict[str, Any]]:
        """Fit, or continue the fit that ``folder`` holds.

        Args:
            stream: gives the features (``FeatureStream``).
            folder: where checkpoints go, shared by all ranks; None = none. A finished fit there is returned at once.
            source: says what the features are (fingerprints of corpus and encoder); a folder with another is refused.
            device: of the reservoir and of the arithmetic.
            report: called with the figures of every window, iteration and pass, on rank 0.

        Returns:
            the codebook on the CPU, ready for ``store.save``, and the figures: utterances, frames and seconds seen,
            passes, reservoir frames, Lloyd iterations, inertia (mean squared distance on the reservoir), inertia of
            the last extra pass (of the centroids that went into it), clusters reseeded, clusters left empty.

        Raises:
            UserError: too few frames, features that are not finite, a repeated utterance id, a foreign folder.
        """
        settings = {**{name: getattr(self, name) for name in DECISIVE}, "source": source}
        checkpoint = KMeansCheckpoint(folder, settings) if folder is not None else None
        progress = (checkpoint.load() if checkpoint else None) or Progress()
        ranks.barrier()  # nobody writes before all have read
        run = _Fit(self, stream, torch.device(device), report, checkpoint, progress)
        with torch.no_grad():
            centroids = run.finish().cpu()
        kmeans: KMeans = build({"_target_": f"{KMeans.__module__}.KMeans", "size": self.size}, dim=centroids.size(1))
        kmeans.centroids.copy_(centroids)
        return kmeans, run.figures()


@dataclass
class _Fit:
    """One call of ``fit``."""

    fitter: KMeansFitter
    stream: FeatureStream
    device: torch.device
    report: Report
    checkpoint: KMeansCheckpoint | None
    progress: Progress
    began: float = field(default_factory=time.perf_counter)

    def finish(self) -> Tensor:
        """Whatever stages are left; the centroids (K, D)."""
        progress = self.progress
        progress.tensors = {name: x.to(self.device) for name, x in progress.tensors.items()}
        if progress.stage in ("collect", "lloyd"):
            self.lloyd(self.sample())
        if progress.stage == "refine":
            self.refine()
        return progress.tensors["centroids"]

    def sample(self) -> Tensor:
        """The frames (n, D) to run Lloyd on: read back, or collected in the first pass."""
        progress, fitter = self.progress, self.fitter
        parts = self.checkpoint.parts if self.checkpoint else []
        if self.checkpoint and progress.stage == "lloyd":
            return self.checkpoint.read(parts[0])["frames"].to(self.device)
        reservoir = Reservoir(fitter.reservoir, self.device)
        if self.checkpoint:
            for name in parts[ranks.rank() :: ranks.world()]:  # samples merge: any number of ranks may continue
                part = self.checkpoint.read(name)
                reservoir.add(part["keys"].numpy(), part["frames"])
        self.collect(reservoir)
        if progress.frames < fitter.size:
            raise UserError(
                f"{fitter.size} clusters need at least as many frames, and the features gave {progress.frames} "
                f"({progress.utterances} utterances, share {fitter.share}): lower size, raise share or give more audio"
            )
        frames = reservoir.merged()
        del reservoir  # before the checkpoint copies
        progress.stage, progress.position, progress.sample = "lloyd", 0, len(frames)
        if self.checkpoint and ranks.rank() == 0:
            self.checkpoint.write(MERGED, {"frames": frames})
        self.save([MERGED])
        return frames

    def collect(self, reservoir: Reservoir) -> None:
        """The first pass over the features, from where it stopped."""
        progress, fitter = self.progress, self.fitter
        utterances_before, frames_before, own = progress.utterances, progress.frames, [0, 0]
        for end, batches in windows(self.stream, progress.position, fitter.save_every, self.device):
            for batch in batches:
                progress.hop = str(batch[2].hop or "")
                found = utterances(batch, fitter.share, fitter.seed)
                if found:
                    keys = np.concatenate([frame_keys(name, len(x), fitter.seed) for name, x in found])
                    reservoir.add(keys, torch.cat([x for _, x in found]))
                    own = [own[0] + len(found), own[1] + len(keys)]
            seen = ranks.gather_numbers([*own, reservoir.held], self.device)
            progress.utterances = utterances_before + sum(row[0] for row in seen)
            progress.frames = frames_before + sum(row[1] for row in seen)
            progress.position = end
            if self.checkpoint:
                names = [f"reservoir-{end}-{source}.safetensors" if row[2] else "" for source, row in enumerate(seen)]
                if name := names[ranks.rank()]:
                    self.checkpoint.write(name, reservoir.tensors())
                ranks.barrier()  # a state is valid once all files are there
                self.save([name for name in names if name])
                ranks.barrier()  # and nobody writes new ones while it drops the old
            self.tell()

    def lloyd(self, frames: Tensor) -> None:
        """k-means++ and Lloyd's iteration on the sample; the best of ``n_init``."""
        progress, fitter, tensors = self.progress, self.fitter, self.progress.tensors
        while progress.run < fitter.n_init:
            if "now" not in tensors:
                some = frames[: SEEDING * fitter.size]  # the order is random
                tensors["now"] = plus_plus(some, fitter.size, fitter.seed + progress.run)
                progress.iteration, progress.previous = 0, None
            new, inertia, empty, reseeded = lloyd(frames, tensors["now"])
            gain = math.inf if progress.previous is None else progress.previous - inertia
            self.tell(run=progress.run, iteration=progress.iteration, inertia=inertia, empty=empty)
            if progress.iteration == fitter.iterations or (gain < fitter.tolerance * inertia and not reseeded):
                best = tensors.pop("now")
                if progress.best is None or inertia < progress.best:
                    progress.best, progress.empty, tensors["centroids"] = inertia, empty, best
                progress.run += 1
            else:
                progress.iteration, progress.previous, tensors["now"] = progress.iteration + 1, inertia, new
                progress.iterations += 1
                progress.reseeded += reseeded
            self.save([MERGED])
        progress.stage = "refine"
        self.save([])

    def refine(self) -> None:
        """Extra passes: one Lloyd iteration each over all frames, batch sums added in the order of the global plan."""
        progress, fitter, tensors, world = self.progress, self.fitter, self.progress.tensors, ranks.world()
        while progress.extra < fitter.extra_passes:
            centroids = tensors["centroids"]
            if "total" not in tensors:
                tensors["total"] = sums(centroids[:0], *nearest(centroids[:0], centroids), fitter.size)
            total = tensors["total"]
            for end, batches in windows(self.stream, progress.position, world, self.device):
                part = torch.zeros_like(total)
                for batch in batches:  # at most one
                    if found := utterances(batch, fitter.share, fitter.seed):
                        frames = torch.cat([x for _, x in found]).to(self.device, torch.float32)
                        part = sums(frames, *nearest(frames, centroids), fitter.size)
                for index in range(progress.position, end):
                    mine = index % world == ranks.rank()
                    total += ranks.broadcast(part if mine else torch.empty_like(total), index % world)
                due = end // fitter.save_every > progress.position // fitter.save_every
                progress.position = end
                if due:
                    self.save([])
                    self.tell(pass_frames=int(split(total, fitter.size)[1].sum()))
            _, counts, inertia = split(total, fitter.size)
            if int(counts.sum()) != progress.frames:
                raise ValueError(
                    f"pass {progress.extra + 2} over the features gave {int(counts.sum())} frames, the first "
                    f"{progress.frames}: a feature stream must give the same corpus each time"
                )
            progress.pass_inertia = float(inertia) / progress.frames
            tensors["centroids"], progress.empty = means(total, centroids), int((counts == 0).sum())
            del tensors["total"]
            progress.extra, progress.position = progress.extra + 1, 0
            self.save([])
            self.tell(inertia=progress.pass_inertia, empty=progress.empty)
        progress.stage = "done"
        self.save([])

    def save(self, parts: list[str]) -> None:
        if self.checkpoint and ranks.rank() == 0:
            self.checkpoint.commit(self.progress, parts)

    def tell(self, **figures: Any) -> None:
        if ranks.rank() == 0:
            seen = {key: value for key, value in self.figures().items() if key in ("frames", "seconds")}
            elapsed = time.perf_counter() - self.began
            self.report({"stage": self.progress.stage, **seen, "elapsed": elapsed, **figures})

    def figures(self) -> dict[str, Any]:
        at = self.progress
        return {
            "utterances": at.utterances,
            "frames": at.frames,
            "seconds": float(at.frames * Fraction(at.hop)) if at.hop else None,
            "passes": 1 + at.extra,
            "reservoir_frames": at.sample,
            "iterations": at.iterations,
            "inertia": at.best,
            "pass_inertia": at.pass_inertia,
            "reseeded": at.reseeded,
            "empty": at.empty,
        }
