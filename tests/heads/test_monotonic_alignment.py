"""Monotonic alignment against every path, one by one, in float64."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import betabinom
from torch import Tensor

from speechunits.heads.monotonic_alignment import best_durations, diagonal_prior, forward_sum

SIZES = [(6, 3), (4, 4), (5, 1), (7, 2), (1, 1)]  # units, symbols


def paths(units: int, symbols: int) -> list[tuple[int, ...]]:
    """Durations of all paths."""
    cuts = itertools.combinations(range(1, units), symbols - 1)
    return [tuple(b - a for a, b in itertools.pairwise((0, *cut, units))) for cut in cuts]


def path_score(scores: Tensor, durations: tuple[int, ...]) -> float:
    owner = [j for j, n in enumerate(durations) for _ in range(n)]
    return math.fsum(float(scores[t, j]) for t, j in enumerate(owner))


def padded() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    scores = 2 * torch.randn(len(SIZES), 7, 4, dtype=torch.float64)  # what is padding is anything
    units, symbols = (torch.tensor(column) for column in zip(*SIZES, strict=True))
    return scores, units, symbols


def test_the_sum_is_that_over_all_paths_and_its_gradient_their_shares() -> None:
    scores, units, symbols = padded()
    found = forward_sum(scores.requires_grad_(), units, symbols)
    found.sum().backward()
    found = found.detach()
    assert scores.grad is not None
    for b, (t, n) in enumerate(SIZES):
        weights = {path: math.exp(path_score(scores[b].detach(), path)) for path in paths(t, n)}
        assert float(found[b]) == pytest.approx(math.log(sum(weights.values())), abs=1e-12)
        shares = torch.zeros_like(scores[b])
        for path, weight in weights.items():
            owner = [j for j, d in enumerate(path) for _ in range(d)]
            shares[range(t), owner] += weight / sum(weights.values())
        torch.testing.assert_close(scores.grad[b], shares)


def test_durations_are_those_of_the_best_path() -> None:
    scores, units, symbols = padded()
    found = best_durations(scores, units, symbols)
    for b, (t, n) in enumerate(SIZES):
        best = max(paths(t, n), key=lambda path: path_score(scores[b], path))
        assert tuple(found[b].tolist()) == (*best, *[0] * (4 - n))
    assert best_durations(torch.zeros(1, 5, 3), torch.tensor([5]), torch.tensor([3])).tolist() == [[1, 1, 3]]


def test_float32_of_a_long_utterance_is_close() -> None:
    torch.manual_seed(0)
    scores, units, symbols = torch.randn(2, 400, 60), torch.tensor([400, 321]), torch.tensor([60, 44])
    torch.testing.assert_close(
        forward_sum(scores, units, symbols).double(), forward_sum(scores.double(), units, symbols), rtol=1e-5, atol=1e-3
    )


def test_without_a_path_gradients_are_numbers() -> None:
    scores = torch.randn(2, 3, 5, requires_grad=True)
    found = forward_sum(scores, torch.tensor([3, 2]), torch.tensor([5, 2]))
    torch.where(torch.tensor([False, True]), found, 0.0).sum().backward()
    assert scores.grad is not None and bool(scores.grad.isfinite().all()) and not bool(scores.grad[0].any())


@pytest.mark.parametrize("sharpness", [1.0, 0.5])
def test_the_prior_is_beta_binomial(sharpness: float) -> None:
    units, symbols = torch.tensor([6, 4]), torch.tensor([3, 5])
    found = diagonal_prior(units, symbols, (6, 5), sharpness)
    for b, (t, n) in enumerate([(6, 3), (4, 5)]):
        for i in range(1, t + 1):
            expected = betabinom(n - 1, sharpness * i, sharpness * (t + 1 - i)).logpmf(range(n))
            torch.testing.assert_close(found[b, i - 1, :n], torch.from_numpy(expected))
        assert bool((found[b, t:] < -1e8).all()) and bool((found[b, :, n:] < -1e8).all())
