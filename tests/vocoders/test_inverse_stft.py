"""The inverse-STFT vocoder: size as published, values written out in numpy, the contract of generators."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.seq import Seq
from speechunits.vocoders.inverse_stft import InverseSTFT
from tests.vocoders.contract import HOP, check_generator, frames, shaken

SMALL = {"channels": 6, "ffn": 10, "depth": 2, "kernel": 3, "rate": 400}


def test_has_as_many_parameters_as_published() -> None:
    """13.5 million for 100 mels at 24 kHz, a spectrum of 1024 samples for each frame of 256 (Siuzdak 2023, section 4)."""
    with torch.device("meta"):
        made = InverseSTFT(upsample=1, rate=24000, dim=100, hop=Fraction(256, 24000))
    assert made.fft == 1024
    assert sum(p.numel() for p in made.parameters()) == pytest.approx(13.5e6, rel=0.005)


@pytest.mark.parametrize("upsample", [1, 2, 4])
def test_keeps_to_the_contract(upsample: int) -> None:
    check_generator(InverseSTFT(**SMALL, upsample=upsample, dim=5, hop=HOP))


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def test_values_are_those_of_the_equations() -> None:
    """One block, no scale on the norms: figure 1 of the paper frame by frame, transforms as sums of cosines."""
    made = shaken(InverseSTFT(channels=4, ffn=6, depth=1, kernel=3, upsample=2, overlap=2, rate=400, dim=3, hop=HOP))
    w = {name: p.detach().numpy() for name, p in made.named_parameters()}
    for name, p in made.named_parameters():
        if "norm" in name:
            p.data.fill_(float(name.endswith("weight")))
    x = frames([5], 3)
    padded = np.pad(x.data[0].numpy(), ((1, 1), (0, 0)))
    y = np.stack([np.einsum("ki,oik->o", padded[t : t + 3], w["enter.weight"]) for t in range(5)])
    y = norm(y + w["enter.bias"])
    padded, at = np.pad(y, ((1, 1), (0, 0))), "blocks.0."
    heard = sum(padded[k : k + 5] * w[at + "conv.conv.weight"][:, 0, k] for k in range(3)) + w[at + "conv.conv.bias"]
    up = norm(heard) @ w[at + "up.weight"].T + w[at + "up.bias"]
    up = up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2
    y = norm(y + w[at + "scale"] * (up @ w[at + "down.weight"].T + w[at + "down.bias"]))
    spectra = (y @ w["spectra.weight"].T + w["spectra.bias"]).reshape(10, 2, 5)  # two of eight samples for each frame
    magnitude, phase = np.minimum(np.exp(spectra[:, 0]), 100), spectra[:, 1]
    window = made.add.window.numpy()
    total, weight = np.zeros(4 * 11), np.zeros(4 * 11)
    for t in range(10):
        for n in range(8):
            tones = magnitude[t] * np.cos(phase[t] + 2 * np.pi * np.arange(5) * n / 8)
            sample = (tones[0] + tones[4] + 2 * tones[1:4].sum()) / 8
            total[4 * t + n] += window[n] * sample
            weight[4 * t + n] += window[n] ** 2
    expected = (total / np.maximum(weight, 1e-9))[2:-2]  # a frame's own four samples are in the middle of its eight
    wave = made.train()(x).data[0].detach().numpy()
    assert np.abs(wave).max() > 0.1
    np.testing.assert_allclose(wave, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(made.eval()(x).data[0].detach().numpy(), expected.clip(-1, 1), rtol=0, atol=1e-10)


def test_magnitudes_are_limited() -> None:
    made = InverseSTFT(**SMALL, dim=5, hop=HOP).train()
    torch.nn.init.constant_(made.spectra.bias, 1000.0)
    assert made(Seq(torch.randn(1, 4, 5), torch.tensor([4]), HOP)).data.isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"upsample": 3}, "1/50 s at 400 Hz are 8 samples a frame, which do not divide into 3 hops"),
        ({"rate": 410}, "are 41/5 samples"),
        ({"overlap": 1}, "overlap 1"),
        ({"kernel": 4}, "kernel 4: give an odd number"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        InverseSTFT(**{**SMALL, **wrong}, dim=5, hop=HOP)
