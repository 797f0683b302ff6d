"""KMeansFitter against brute force and scikit-learn; bounds, errors, resumption."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from speechunits import store
from speechunits.errors import UserError
from speechunits.quantizers.kmeans import KMeans, nearest
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.quantizers.lloyd import lloyd, plus_plus
from speechunits.quantizers.reservoir import in_share
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


def test_lloyd_is_the_definition() -> None:
    frames = Corpus().frames
    centroids = frames[:12].clone()
    update = lloyd(frames, centroids)
    codes = torch.cdist(frames.double(), centroids.double()).argmin(1)
    expected = torch.stack([frames[codes == k].double().mean(0) for k in range(12)])
    torch.testing.assert_close(update.centroids.double(), expected, rtol=1e-6, atol=1e-6)
    assert update.inertia == pytest.approx(inertia(frames, centroids), rel=1e-6)
    assert (update.empty, update.reseeded) == (0, 0)


def test_empty_clusters_move_to_the_farthest_frames() -> None:
    frames = torch.tensor([[0.0], [1.0], [2.0], [40.0], [30.0]])
    update = lloyd(frames, torch.tensor([[1.0], [-100.0], [-200.0]]))
    assert (update.empty, update.reseeded) == (2, 2)
    assert update.centroids.tolist() == [[pytest.approx(14.6)], [40.0], [30.0]]


def test_fewer_different_frames_than_clusters() -> None:
    """Three values, five clusters: the three are found, two clusters stay empty, nothing is NaN."""
    frames = torch.tensor([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]]).repeat(20, 1)
    stream = lambda start: [(0, ["a"], pad([frames], HOP))][start:]  # noqa: E731
    kmeans, figures = KMeansFitter(5).fit(stream, report=silent)
    assert figures["inertia"] == 0 and figures["empty"] == 2 and figures["reseeded"] == 0
    assert {tuple(row) for row in kmeans.centroids.tolist()} == {(0, 1), (5, 5), (9, 0)}


def test_plus_plus_spreads() -> None:
    """Far clusters each get one seed, which random seeds would miss with probability 1 - 8! / 8^8 = 0.998."""
    draws = torch.Generator().manual_seed(0)
    label = torch.arange(8).repeat(50)
    frames = torch.randn(400, 4, generator=draws) + 1000 * torch.eye(8)[label][:, :4] + 500 * label[:, None]
    for seed in range(5):
        chosen = plus_plus(frames, 8, seed)
        centres = torch.stack([frames[label == k].mean(0) for k in range(8)])
        assert sorted(nearest(chosen, centres)[0].tolist()) == list(range(8))


def test_inertia_within_half_a_percent_of_scikit_learn() -> None:
    """HuBERT's settings, median of 3 seeds; one initialisation of ours against twenty of theirs."""
    cluster = pytest.importorskip("sklearn.cluster")
    corpus = Corpus(utterances=300, dim=8)
    settings = {"init": "k-means++", "max_iter": 100, "batch_size": 10000, "tol": 0.0, "max_no_improvement": 100}
    ratios = []
    for seed in range(3):
        theirs = cluster.MiniBatchKMeans(50, n_init=20, reassignment_ratio=0.0, random_state=seed, **settings)
        theirs.fit(corpus.frames.numpy())
        kmeans, figures = KMeansFitter(50, seed=seed).fit(corpus, report=silent)
        ours = inertia(corpus.frames, kmeans.centroids)
        ratios.append(ours / inertia(corpus.frames, torch.from_numpy(theirs.cluster_centers_)))
        assert figures["inertia"] == pytest.approx(ours, rel=1e-5)  # the reservoir held everything
    assert sorted(ratios)[1] < 1.005, ratios
    assert figures["frames"] == figures["reservoir_frames"] == len(corpus.frames)
    assert figures["seconds"] == len(corpus.frames) / 50


def test_passes_are_those_promised() -> None:
    corpus = Corpus()
    fitter = KMeansFitter(12, reservoir=200, extra_passes=2)
    _, figures = fitter.fit(corpus, report=silent)
    assert corpus.passes == fitter.pass_budget == figures["passes"] == 3
    assert corpus.served == [(p, i) for p in (1, 2, 3) for i in range(15)]
    assert figures["reservoir_frames"] == 200 < figures["frames"]


def test_an_extra_pass_is_one_lloyd_iteration_over_everything() -> None:
    corpus = Corpus()
    first, _ = KMeansFitter(12, reservoir=200).fit(corpus, report=silent)
    second, figures = KMeansFitter(12, reservoir=200, extra_passes=1).fit(corpus, report=silent)
    update = lloyd(corpus.frames, first.centroids)
    torch.testing.assert_close(second.centroids, update.centroids, rtol=1e-6, atol=1e-6)
    assert figures["pass_inertia"] == pytest.approx(update.inertia, rel=1e-6)
    assert inertia(corpus.frames, second.centroids) < inertia(corpus.frames, first.centroids)


def test_share_is_of_utterances_and_order_does_not_matter() -> None:
    corpus = Corpus(utterances=400)
    fitter = KMeansFitter(8, share=0.25, reservoir=500)
    kmeans, figures = fitter.fit(corpus, report=silent)
    chosen = [name for name in corpus.items if in_share(name, 0.25, 0)]
    assert figures["utterances"] == len(chosen) and 60 < len(chosen) < 140
    assert figures["frames"] == sum(len(corpus.items[name]) for name in chosen)
    corpus.items = dict(reversed(corpus.items.items()))
    again, _ = fitter.fit(corpus, report=silent)
    assert torch.equal(kmeans.centroids, again.centroids)


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


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    expected = run(None, Corpus())
    interrupted = 0
    for stop in range(1, 40):  # in every report of every stage
        folder = tmp_path / str(stop)
        try:
            run(folder, Corpus(), stop)
            break
        except Interrupted:
            interrupted += 1
        assert same(run(folder, Corpus()), expected), stop
    assert interrupted == 4 + 2 * 3 + 2 * 4  # windows, iterations, windows and the end of extra passes


@pytest.mark.parametrize("where", [(1, 0), (1, 8), (1, 14), (2, 1), (2, 7), (3, 13)])
def test_resumed_in_the_middle_of_a_pass(tmp_path: Path, where: tuple[int, int]) -> None:
    expected = run(None, Corpus())
    corpus = Corpus()
    corpus.stop_at = where
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, corpus)
    corpus.stop_at, corpus.served = None, []
    assert same(run(tmp_path, corpus), expected)
    assert corpus.served[0][1] == max(where[1] - 1, 0) // 4 * 4  # from the last checkpoint; one batch is read ahead
    served = len(corpus.served)
    assert same(run(tmp_path, corpus), expected) and len(corpus.served) == served  # finished: nothing is read again
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_killed_and_resumed(tmp_path: Path) -> None:
    """SIGKILL at the n-th file operation, where a checkpoint is half written."""
    expected = run(None, Corpus())
    script = (
        "import os, sys, signal; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import test_kmeans_fitter as t\n"
        "real, left = os.replace, [int(sys.argv[3])]\n"
        "def replace(a, b):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(a, b)\n"
        "os.replace = replace\n"
        "t.run(Path(sys.argv[2]), t.Corpus())\n"
    )
    for at in (4, 14):
        folder = tmp_path / str(at)
        here = Path(__file__).parent
        command = [sys.executable, "-c", script, str(here), str(folder), str(at)]
        done = subprocess.run(command, cwd=here.parents[1], check=False)
        assert done.returncode == -9 and any(folder.glob(".*.tmp"))
        assert same(run(folder, Corpus()), expected)
        assert not any(folder.glob(".*.tmp"))


def test_a_folder_of_another_fit_is_refused(tmp_path: Path) -> None:
    KMeansFitter(4).fit(Corpus(), folder=tmp_path, source="layer 6", report=silent)
    with pytest.raises(UserError, match=r"state\.json was written with seed=0, this fit has seed=1"):
        KMeansFitter(4, seed=1).fit(Corpus(), folder=tmp_path, source="layer 6", report=silent)
    with pytest.raises(UserError, match="source='layer 6', this fit has source='layer 9'"):
        KMeansFitter(4).fit(Corpus(), folder=tmp_path, source="layer 9", report=silent)
    assert json.loads((tmp_path / "state.json").read_text())["stage"] == "done"


def test_too_few_frames() -> None:
    corpus = Corpus(utterances=3)
    with pytest.raises(UserError, match=rf"500 clusters .* gave {len(corpus.frames)} \(3 utterances.*lower size"):
        KMeansFitter(500).fit(corpus, report=silent)
    with pytest.raises(UserError, match="gave 0"):
        KMeansFitter(5).fit(lambda start: [], report=silent)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_name_the_utterance(value: float) -> None:
    corpus = Corpus()
    corpus.items["utt-33"][2, 1] = value
    with pytest.raises(UserError, match="'utt-33'"):
        KMeansFitter(5).fit(corpus, report=silent)


def test_the_result_is_saved_as_an_artefact(tmp_path: Path) -> None:
    kmeans, _ = KMeansFitter(4).fit(Corpus(), report=silent)
    store.save(kmeans, tmp_path / "kmeans")
    again = store.restore(tmp_path / "kmeans", expect=KMeans)
    assert torch.equal(again.centroids, kmeans.centroids) and again.vocab == (4,)


def test_an_id_that_comes_twice_is_refused() -> None:
    frames = torch.randn(30, 4)
    with pytest.raises(UserError, match="twice"):
        KMeansFitter(5).fit(lambda start: [(0, ["a", "a"], pad([frames, frames], HOP))], report=silent)


def test_a_stream_that_changes_or_jumps_back_is_refused() -> None:
    batch = lambda i, n: (i, [f"{i}"], pad([torch.randn(n, 4)], HOP))  # noqa: E731
    sizes = iter([20, 21])
    with pytest.raises(ValueError, match=r"pass 2 .* gave 21 frames, the first 20"):
        KMeansFitter(5, extra_passes=1).fit(lambda start: [batch(0, next(sizes))], report=silent)
    with pytest.raises(ValueError, match="batch 0 after 0"):
        KMeansFitter(5).fit(lambda start: [batch(0, 9), batch(0, 9)], report=silent)


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
