"""Losses of both sides against the equations, by hand and over a batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from speechunits.vocoders.adversarial_loss import AdversarialLoss, feature_distance
from speechunits.vocoders.conv_stack import Judged


def judged(seed: int, rows: int = 3) -> list[Judged]:
    g = torch.Generator().manual_seed(seed)
    shapes = [[(4, 5), (1, 7)], [(2, 3, 5), (3, 2, 2), (1, 9)]]
    features = [[torch.randn(rows, *shape, generator=g, dtype=torch.float64) for shape in one] for one in shapes]
    return [(2 * layers[-1].flatten(1), layers) for layers in features]


def test_by_hand() -> None:
    scores = [(torch.tensor([[0.5, 2.0], [-3.0, 1.0]]), [])]
    squares, hinge = AdversarialLoss(), AdversarialLoss("hinge")
    assert squares.real(scores, [1.0]) == (0.25 + 1) / 2 + (16 + 0) / 2
    assert squares.made(scores, [1.0]) == (0.25 + 4) / 2 + (9 + 1) / 2
    assert squares.fooling(scores, [0.5]) == 0.5 * squares.real(scores, [1.0])
    assert hinge.real(scores, [1.0]) == 0.5 / 2 + 4 / 2
    assert hinge.made(scores, [1.0]) == (1.5 + 3) / 2 + 2 / 2
    assert hinge.fooling(scores, [1.0]) == hinge.real(scores, [1.0])


@pytest.mark.parametrize("kind", ["least_squares", "hinge"])
def test_divided_by_segments_they_are_means_of_the_batch(kind: str) -> None:
    """HiFi-GAN: sums over discriminators of means over all scores of a batch."""
    loss, real, made = AdversarialLoss(kind), judged(1), judged(2)  # type: ignore[arg-type]
    hinge = kind == "hinge"
    about_real = sum(F.relu(1 - s).mean() if hinge else F.mse_loss(s, torch.ones_like(s)) for s, _ in real)
    about_made = sum(F.relu(1 + s).mean() if hinge else F.mse_loss(s, torch.zeros_like(s)) for s, _ in made)
    torch.testing.assert_close(loss.real(real, [1, 1]) / 3, about_real)
    torch.testing.assert_close(loss.made(made, [1, 1]) / 3, about_made)


def test_features_are_matched_with_a_factor_of_two() -> None:
    real, made = judged(1), judged(2)
    means = [sum(F.l1_loss(a, b) for a, b in zip(x, y, strict=True)) for (_, x), (_, y) in zip(made, real, strict=True)]
    torch.testing.assert_close(feature_distance(made, real, [1, 1]) / 3, 2 * (means[0] + means[1]))
    torch.testing.assert_close(feature_distance(made, real, [0.2, 3]) / 3, 2 * (0.2 * means[0] + 3 * means[1]))


def test_rows_add_up() -> None:
    """A batch gives what its halves give: sums are exact over micro-batches."""
    real, made, loss = judged(1, 4), judged(2, 4), AdversarialLoss()

    def half(of: list[Judged], where: slice) -> list[Judged]:
        return [(scores[where], [f[where] for f in features]) for scores, features in of]

    halves = [slice(0, 1), slice(1, 4)]
    torch.testing.assert_close(loss.real(real, [1, 2]), sum(loss.real(half(real, h), [1, 2]) for h in halves))
    parts = [feature_distance(half(made, h), half(real, h), [1, 2]) for h in halves]
    torch.testing.assert_close(feature_distance(made, real, [1, 2]), parts[0] + parts[1])


def test_half_precision_does_not_overflow() -> None:
    far = [(torch.full((2, 3), 1000.0, dtype=torch.float16), [])]
    assert AdversarialLoss().made(far, [1.0]) == 2e6
