"""Equal error rate and detection cost against every threshold tried, and known cases."""

from __future__ import annotations

from itertools import pairwise
from math import isnan

import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.equal_error_rate import EqualErrorRate, equal_error_rate, min_dcf, operating_points
from tests.metrics.sounds import check_ranks


def tried(scores: list[float], same: list[bool]) -> list[tuple[float, float]]:
    """(misses, false alarms) of every threshold, by counting."""
    out = []
    for threshold in [float("inf"), *sorted({*scores}, reverse=True)]:
        misses = sum(s < threshold for s, alike in zip(scores, same, strict=True) if alike) / sum(same)
        alarms = sum(s >= threshold for s, alike in zip(scores, same, strict=True) if not alike)
        out.append((misses, alarms / (len(same) - sum(same))))
    return out


@pytest.mark.parametrize("ties", [False, True])
def test_against_every_threshold(ties: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    for size in (2, 3, 5, 20, 60):
        for _ in range(10):
            same = torch.arange(size) % 3 != 0
            scores = torch.randn(size, generator=generator, dtype=torch.float64) + same
            scores = scores.round() if ties else scores
            points = tried(scores.tolist(), same.tolist())
            found = operating_points(scores, same)
            assert torch.stack(found, 1).tolist() == [pytest.approx(pair) for pair in points]
            # where the line between two neighbours meets misses = alarms
            for (m0, a0), (m1, a1) in pairwise(points):
                if m0 >= a0 and m1 <= a1:
                    share = (m0 - a0) / ((m0 - a0) + (a1 - m1))
                    assert equal_error_rate(scores, same) == pytest.approx(m0 + share * (m1 - m0))
                    break
            for prior in (0.01, 0.5):
                costs = [prior * m + (1 - prior) * a for m, a in points]
                assert min_dcf(scores, same, prior) == pytest.approx(min(costs) / min(prior, 1 - prior))


def test_known_cases() -> None:
    apart = torch.tensor([0.9, 0.8, 0.2, 0.1])
    same = torch.tensor([True, True, False, False])
    assert equal_error_rate(apart, same) == min_dcf(apart, same) == 0
    assert equal_error_rate(-apart, same) == 1 and min_dcf(-apart, same) == 1
    assert equal_error_rate(torch.zeros(4), same) == 0.5  # nothing is told apart
    crossed = torch.tensor([0.9, 0.3, 0.4, 0.1])
    assert equal_error_rate(crossed, same) == 0.5
    assert min_dcf(torch.tensor([3.0, 1.0, 2.0, 0.0]), same, 0.5) == 0.5
    monotone = torch.randn(50).double()
    alike = torch.rand(50) > 0.5
    assert equal_error_rate(monotone, alike) == equal_error_rate(monotone.exp(), alike)


def test_over_ranks() -> None:
    voices = torch.tensor([[1.0, 0.1], [1.0, 0.3], [0.1, 1.0], [0.9, 1.0]])
    batch = {"ids": list("abcd"), "speaker": ["x", "x", "y", "y"]}
    found = check_ranks(EqualErrorRate, {"voice": voices}, batch)
    unit = voices.double() / voices.double().norm(dim=1, keepdim=True)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    scores = torch.tensor([float(unit[i] @ unit[j]) for i, j in pairs])
    same = torch.tensor([pair in ((0, 1), (2, 3)) for pair in pairs])
    assert found["eer"] == pytest.approx(100 * equal_error_rate(scores, same))
    assert found["min_dcf"] == pytest.approx(min_dcf(scores, same))


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="pairs of one speaker and pairs of two"):
        equal_error_rate(torch.ones(2), torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="a score is not finite"):
        min_dcf(torch.tensor([1.0, torch.nan]), torch.tensor([True, False]))
    measure = EqualErrorRate()
    with pytest.raises(UserError, match="has seen no utterance"):
        measure.compute()
    with pytest.raises(UserError, match="EqualErrorRate needs 'speaker'"):
        measure.update({"voice": torch.ones(1, 2)}, {"ids": ["a"]})
    measure.update({"voice": torch.ones(1, 2)}, {"ids": ["a"], "speaker": ["x"]})
    assert all(map(isnan, measure.compute().values()))
