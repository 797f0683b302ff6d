"""Noise at the level that was asked for, the same for an utterance in any batch."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from speechunits.draws import draws
from speechunits.seq import Seq, pad
from speechunits.views.add_noise import AddNoise

HZ16K = Fraction(1, 16000)


def speech(*lengths: int) -> Seq:
    return pad([torch.sin(torch.arange(n) / 7.0) * (0.1 + 0.2 * i) for i, n in enumerate(lengths)], HZ16K)


@pytest.mark.parametrize("snr", [20.0, 0.0, -5.0])
def test_the_power_ratio_is_the_one_asked_for(snr: float):
    clean = speech(80000, 48000)
    noisy = AddNoise(snr)(clean, draws(["a", "b"]))
    for i, n in enumerate(clean.lengths.tolist()):
        noise = (noisy.data - clean.data)[i, :n].double()
        ratio = 10 * math.log10(float(clean.data[i, :n].double().square().mean() / noise.square().mean()))
        assert ratio == pytest.approx(snr, abs=0.1)
    assert not (noisy.data - clean.data)[1, 48000:].any() and torch.equal(noisy.lengths, clean.lengths)


def test_noise_belongs_to_the_utterance():
    clean, view = speech(4000, 3000), AddNoise()
    both = view(clean, draws(["a", "b"])).data
    b = view(Seq(clean.data[1:, :3000], clean.lengths[1:], HZ16K), draws(["b"])).data[0]
    torch.testing.assert_close(both[1, :3000], b, rtol=1e-5, atol=1e-7)  # the power is a sum over another width
    assert torch.equal(view(clean, draws(["a", "b"])).data, both)
    assert not torch.equal(view(clean, draws(["a", "b"], seed=1)).data, both)


def test_silence_stays_silent():
    quiet = Seq(torch.zeros(1, 100), torch.tensor([100]), HZ16K)
    assert not AddNoise()(quiet, draws(["a"])).data.any()
