"""ProsodyScale: numpy's means and deviations of voiced frames, and a way there and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from speechunits.nn.prosody_scale import LEAST, own_scale
from speechunits.seq import Seq, pad

HOP = Fraction(1, 50)


def rows(*frames: int) -> list[torch.Tensor]:
    """Prosody of so many frames, a third of them unvoiced; each row the same whatever follows it."""
    random, made = np.random.default_rng(0), []
    for n in frames:
        row = random.normal([5.0, 0.0, -4.0], [0.2, 0.0, 1.5], (n, 3))
        row[:, 1] = random.random(n) > 1 / 3
        row[:, 0] *= row[:, 1]
        made.append(torch.tensor(row))
    return made


def test_it_is_numpys() -> None:
    spoken = rows(50, 31)
    scale = own_scale(pad(spoken, HOP))
    for i, row in enumerate(spoken):
        voiced = row[row[:, 1] > 0.5, 0].numpy()
        np.testing.assert_allclose(scale.mean[i], [voiced.mean(), row[:, 2].mean()], rtol=1e-6)
        np.testing.assert_allclose(scale.deviation[i], [voiced.std(), row[:, 2].numpy().std()], rtol=1e-5)


def test_there_and_back() -> None:
    spoken = pad(rows(50, 31), HOP)
    scale = own_scale(spoken)
    standard = scale.standardise(spoken)
    after = own_scale(standard)
    torch.testing.assert_close(after.mean, torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(after.deviation, torch.ones(2, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(scale.restore(standard).data, spoken.data)
    unvoiced = spoken.data[..., 1] == 0
    assert not standard.data[..., 0][unvoiced].any() and not standard.data[1, 31:].any()


def test_a_monotone_voice_and_none_at_all_are_no_division_by_zero() -> None:
    monotone, silent = torch.tensor([[5.0, 1.0, -3.0]] * 9), torch.tensor([[0.0, 0.0, -11.5]] * 9)
    spoken = Seq(torch.stack([monotone, silent, silent]), torch.tensor([9, 9, 0]), HOP)
    scale = own_scale(spoken)
    assert scale.deviation.tolist() == [[torch.tensor(LEAST).item()] * 2, [1.0, torch.tensor(LEAST).item()], [1.0, 1.0]]
    assert scale.mean[1:, 0].tolist() == [0.0, 0.0] and scale.standardise(spoken).data.isfinite().all()
