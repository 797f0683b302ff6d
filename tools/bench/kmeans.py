"""k-means: scikit-learn's MiniBatchKMeans with HuBERT's settings against KMeansFitter, side by side in one process.

Data: a Gaussian mixture with twice as many components as clusters and weights 1 / rank, whose means lie in a subspace,
so that clusters are uneven and overlap. Both see the same frames; one function, in float64 arithmetic on squared
differences, measures both. scikit-learn is given the array; the fitter its stream of batches, and its time includes
filling the reservoir. CPU time of the process is printed too, because machines are shared. Compare on one thread
(OMP_NUM_THREADS=1).

    python tools/bench/kmeans.py                       # 768-d, K=500, 100k frames and 39-d, K=100, 500k frames
    python tools/bench/kmeans.py --only 39 --frames 50000 --seeds 1
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.cluster import MiniBatchKMeans

from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import Seq, pad

CASES = {39: (100, 500_000), 768: (500, 100_000)}  # feature size -> clusters, frames
# examples/hubert/simple_kmeans/learn_kmeans.py of fairseq
HUBERT = {
    "init": "k-means++",
    "max_iter": 100,
    "batch_size": 10_000,
    "tol": 0.0,
    "max_no_improvement": 100,
    "n_init": 20,
    "reassignment_ratio": 0.0,
    "init_size": None,
    "compute_labels": False,
}


def mixture(frames: int, dim: int, clusters: int, seed: int = 0) -> np.ndarray:
    """(frames, dim) float32."""
    draws = np.random.default_rng(seed)
    components, rank = 2 * clusters, min(32, dim)
    weights = 1 / np.arange(1, components + 1)
    basis = draws.normal(size=(rank, dim)) / np.sqrt(rank)
    means = draws.normal(size=(components, rank))
    label = draws.choice(components, size=frames, p=weights / weights.sum())
    scale = draws.uniform(0.5, 1.5, size=components)
    out = np.empty((frames, dim), dtype=np.float32)
    for start in range(0, frames, 10_000):
        part = label[start : start + 10_000]
        inside = 0.5 * scale[part, None] * draws.normal(size=(len(part), rank))
        out[start : start + 10_000] = (means[part] + inside) @ basis
        out[start : start + 10_000] += 0.3 * scale[part, None] * draws.normal(size=(len(part), dim))
    return out


def inertia(frames: np.ndarray, centroids: np.ndarray) -> float:
    """Mean squared distance to the nearest centroid, exact: the nearest in float64, then the differences squared."""
    c = torch.from_numpy(centroids).double()
    total = 0.0
    for part in torch.from_numpy(frames).split(5000):
        x = part.double()
        codes = torch.addmm(c.pow(2).sum(1) / 2, x, c.T, alpha=-1).argmin(1)
        total += float((x - c[codes]).pow(2).sum())
    return total / len(frames)


def stream(frames: np.ndarray, utterance: int = 500, per_batch: int = 10) -> Callable[[int], Iterator[Any]]:
    """The array as utterances of 10 s in batches of 100 s."""
    size = utterance * per_batch

    def batches(start: int) -> Iterator[tuple[int, list[str], Seq]]:
        for index in range(start, -(-len(frames) // size)):
            parts = torch.from_numpy(frames[index * size : (index + 1) * size]).split(utterance)
            yield index, [f"{index}-{i}" for i in range(len(parts))], pad(parts, Fraction(1, 50))

    return batches


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    centroids = work()
    return centroids, time.perf_counter() - wall, time.process_time() - cpu


def compare(dim: int, clusters: int, frames: int, seeds: int, n_init: int) -> list[dict[str, Any]]:
    data = mixture(frames, dim, clusters)
    rows = []
    for seed in range(seeds):

        def theirs(seed: int = seed) -> np.ndarray:
            settings = {**HUBERT, "n_init": n_init}
            return MiniBatchKMeans(clusters, random_state=seed, **settings).fit(data).cluster_centers_

        def ours(seed: int = seed) -> np.ndarray:
            fitter = KMeansFitter(clusters, seed=seed, reservoir=frames)
            return fitter.fit(stream(data))[0].centroids.numpy()

        ours_c, ours_s, ours_cpu = timed(ours)
        theirs_c, theirs_s, theirs_cpu = timed(theirs)
        ours_i, theirs_i = inertia(data, ours_c), inertia(data, theirs_c)
        rows.append(
            {
                "dim": dim,
                "clusters": clusters,
                "frames": frames,
                "seed": seed,
                "sklearn_s": theirs_s,
                "ours_s": ours_s,
                "sklearn_cpu_s": theirs_cpu,
                "ours_cpu_s": ours_cpu,
                "sklearn_inertia": theirs_i,
                "ours_inertia": ours_i,
                "times_faster": theirs_s / ours_s,
                "times_faster_cpu": theirs_cpu / ours_cpu,
                "inertia_change": ours_i / theirs_i - 1,
            }
        )
        print(line(rows[-1]), flush=True)
    middle = {**rows[0], "seed": "median"}
    for key in rows[0]:
        if key not in ("dim", "clusters", "frames", "seed"):
            middle[key] = statistics.median(row[key] for row in rows)
    print(line(middle), flush=True)
    return [*rows, middle]


HEAD = (
    "| D | K | frames | seed | sklearn s (CPU s) | ours s (CPU s) | faster (CPU) | sklearn inertia | ours | change |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: dict[str, Any]) -> str:
    return (
        f"| {row['dim']} | {row['clusters']} | {row['frames']} | {row['seed']} "
        f"| {row['sklearn_s']:.2f} ({row['sklearn_cpu_s']:.2f}) | {row['ours_s']:.2f} ({row['ours_cpu_s']:.2f}) "
        f"| {row['times_faster']:.1f}x ({row['times_faster_cpu']:.1f}x) "
        f"| {row['sklearn_inertia']:.4f} | {row['ours_inertia']:.4f} | {row['inertia_change']:+.2%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, choices=sorted(CASES), help="one of the two feature sizes")
    parser.add_argument("--frames", type=int, help="instead of the case's own number")
    parser.add_argument("--clusters", type=int, help="instead of the case's own number")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-init", type=int, default=HUBERT["n_init"], help="of scikit-learn; HuBERT has 20")
    parser.add_argument("--json", help="file for all rows and the machine")
    args = parser.parse_args()
    print(
        f"{platform.machine()}, {torch.get_num_threads()} thread(s), load {os.getloadavg()[0]:.1f}, "
        f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, n_init {args.n_init}\n\n{HEAD}",
        flush=True,
    )
    rows = []
    for dim, (clusters, frames) in CASES.items():
        if args.only in (None, dim):
            rows += compare(dim, args.clusters or clusters, args.frames or frames, args.seeds, args.n_init)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    if args.json:
        machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "scikit-learn": sklearn.__version__}
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": machine, "settings": {**HUBERT, "n_init": args.n_init}, "rows": rows}, f, indent=1)


if __name__ == "__main__":
    main()
