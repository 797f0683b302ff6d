"""KMeansFitter against brute force and scikit-learn; bounds and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.errors import UserError
from speechunits.quantizers.kmeans import KMeans, nearest
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.quantizers.lloyd import lloyd, plus_plus
from speechunits.quantizers.reservoir import in_share
from speechunits.seq import pad
from tests.quantizers.mixture import HOP, Corpus, inertia, silent


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
