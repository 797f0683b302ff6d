"""Spans against fairseq's compute_mask_indices as its documentation and the paper describe it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from speechunits.maskers.spans import Spans


def draw(spans: Spans, sizes: list[int], seed: int = 0) -> np.ndarray:
    rngs = [np.random.default_rng([seed, i]) for i in range(len(sizes))]
    return spans.draw(sizes, rngs, max(sizes))


def runs(row: np.ndarray) -> list[tuple[bool, int]]:
    return [(bool(k), len(list(g))) for k, g in itertools.groupby(row)]


@pytest.mark.parametrize(
    ("share", "length", "realised"), [(0.8, 10, 0.57), (0.65, 10, 0.49), (0.75, 10, 0.54), (0.5, 5, 0.41)]
)
def test_realised_share(share: float, length: int, realised: float):
    """Values simulated from the published code; 0.49 is also the wav2vec 2.0 paper's."""
    assert draw(Spans(share, length), [500] * 400).mean() == pytest.approx(realised, abs=0.01)


def test_static_spans_are_the_published_draw():
    """wav2vec 2.0, section 3.1: starts without replacement, the next M frames; written out with the same generator."""
    for seed, size in enumerate((60, 200, 500)):
        rng = np.random.default_rng(seed)
        count = int(0.8 * size / 10 + rng.random())
        starts = rng.choice(size - 10, count, replace=False)
        expected = np.isin(np.arange(size), starts[:, None] + np.arange(10))
        assert np.array_equal(Spans().draw([size], [np.random.default_rng(seed)], size)[0], expected)


def test_one_static_span_is_as_long_as_asked():
    for seed in range(50):
        hidden = [n for k, n in runs(draw(Spans(0.0, 7, minimum=1), [100], seed)[0]) if k]
        assert hidden == [7]


@pytest.mark.parametrize(
    ("kind", "other", "low", "high", "mean"),
    [("uniform", 4.0, 4, 20, 12.0), ("normal", 2.0, 1, 30, 10.0), ("poisson", 0.0, 1, 40, 10.0)],
)
def test_lengths_follow_their_distribution(kind: str, other: float, low: int, high: int, mean: float):
    """One span per utterance, far from the end as often as not: count its frames."""
    spans = Spans(0.0, 10, kind, other, minimum=1)
    lengths = draw(spans, [5000] * 600).sum(1)
    assert lengths.min() >= low and lengths.max() <= high
    assert lengths.mean() == pytest.approx(mean, abs=0.6)
    assert len(set(lengths.tolist())) > 5


def test_minimum():
    """Share 0 still hides ``minimum`` spans, and 0 of them when it is 0."""
    assert not draw(Spans(0.0, 10, minimum=0), [300]).any()
    for seed in range(20):
        assert 10 < draw(Spans(0.0, 10, minimum=3), [3000], seed).sum() <= 30


@pytest.mark.parametrize("space", [0, 1, 3])
@pytest.mark.parametrize(("kind", "other"), [("static", 0.0), ("uniform", 2.0), ("poisson", 0.0)])
def test_without_overlap_spans_keep_their_space(space: int, kind: str, other: float):
    spans = Spans(0.5, 5, kind, other, overlap=False, space=space)
    for row in draw(spans, [200] * 60):
        inner = runs(row)[1:-1]
        assert all(n >= space for hidden, n in inner if not hidden)
        if kind == "static":
            assert all(n % 5 == 0 if space == 0 else n == 5 for hidden, n in runs(row) if hidden)


def test_without_overlap_the_share_is_what_was_asked():
    assert draw(Spans(0.5, 5, overlap=False), [500] * 60).mean() == pytest.approx(0.5, abs=0.005)


def test_without_overlap_a_span_is_hidden_whole_or_not_at_all():
    rows = draw(Spans(0.0, 5, overlap=False, minimum=2), [30] * 50)
    assert set(rows.sum(1).tolist()) <= {5, 10} and 10 in rows.sum(1)


def test_same_count():
    sizes = [500, 300, 120]
    free, same = draw(Spans(), sizes), draw(Spans(same_count=True), sizes)
    assert len(set(free.sum(1))) == 3
    assert same.sum(1).tolist() == [free.sum(1).min()] * 3
    assert not (same & ~free).any()  # frames were only shown again


def test_holes_show_a_share_of_the_hidden_frames():
    free, holed = draw(Spans(), [500]), draw(Spans(holes=0.25), [500])
    assert holed.sum() == free.sum() - round(free.sum() * 0.25)
    assert not (holed & ~free).any()


@pytest.mark.parametrize("kind", ["static", "uniform", "normal", "poisson"])
@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("minimum", [0, 2, 20])
def test_very_short_utterances_keep_a_visible_frame(kind: str, overlap: bool, minimum: int):
    spans = Spans(0.8, 10, kind, 2.0, minimum, overlap)
    for size, seed in itertools.product(range(13), range(20)):
        hidden = spans.draw([size], [np.random.default_rng(seed)], 13)[0]
        assert not hidden[size:].any()
        assert hidden.sum() < max(size, 1)
        if size >= 2 and overlap and minimum:
            assert hidden.any()


def test_each_utterance_uses_its_own_generator():
    both = Spans().draw([80, 200], [np.random.default_rng(1), np.random.default_rng(2)], 200)
    alone = Spans().draw([80], [np.random.default_rng(1)], 80)
    assert np.array_equal(both[0, :80], alone[0]) and not both[0, 80:].any()


@pytest.mark.parametrize(
    "wrong", [{"length": 0}, {"share": -0.1}, {"holes": 1.5}, {"space": -1}, {"kind": "uniform", "other": 21.0}]
)
def test_numbers_out_of_range_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="spans"):
        Spans(**wrong)
