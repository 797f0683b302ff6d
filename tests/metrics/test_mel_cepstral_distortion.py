"""Mel-cepstral distortion against plain numpy, and what must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.mel_cepstral_distortion import MelCepstra, MelCepstralDistortion, distances
from speechunits.seq import Seq
from tests.metrics.sounds import alone, batch_of, check_ranks, vowel

A, E = vowel(formants=(700, 1100)), vowel(formants=(500, 1900))


def mcd(made: torch.Tensor, original: torch.Tensor, **arguments: object) -> float:
    measure = MelCepstralDistortion(**arguments)  # type: ignore[arg-type]
    measure.update({"audio": alone(made)}, {"audio": alone(original), "ids": ["a"]})
    return measure.compute()["mcd"]


def plain_cepstra(wave: np.ndarray, order: int, bands: int) -> np.ndarray:
    """From the equations: HTK mel triangles, ln of magnitudes, cosines."""

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 2595 * np.log10(1 + hertz / 700)

    edges = 700 * (10 ** (np.linspace(0, mel(np.array(8000.0)), bands + 2) / 2595) - 1)
    bins = np.arange(513) * 16000 / 1024
    up = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(up, down))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    energies = []
    for t in range((len(wave) - 400) // 160 + 1):
        energies.append(np.abs(np.fft.rfft(wave[160 * t : 160 * t + 400] * window, 1024)) ** 2 @ triangles)
    logs = 0.5 * np.log(np.maximum(np.array(energies), np.max(energies) * 1e-8))
    b = np.arange(bands) + 0.5
    return np.stack([2 / bands * (logs * np.cos(np.pi * k * b / bands)).sum(1) for k in range(1, order + 1)], 1)


def test_cepstra_are_those_of_the_equations() -> None:
    want = plain_cepstra(A.numpy(), 24, 40)
    found = MelCepstra()(A)
    assert found.shape == want.shape == ((len(A) - 400) // 160 + 1, 24)
    assert np.abs(found.numpy() - want).max() < 2e-5  # torchaudio's triangles are float32


def test_the_scale_is_decibel() -> None:
    """With all coefficients, the distance is the deviation of the differences in dB over bands: Parseval's theorem."""
    cepstra = MelCepstra(order=39, bands=40)
    frames = [A[:400], E[:400]]
    apart = distances(*(cepstra(x) for x in frames))
    energies = [torch.fft.rfft(x * cepstra.window, cepstra.fft).abs().square() @ cepstra.mel for x in frames]
    decibel = 10 * (energies[0] / energies[1]).log10()
    assert float(apart) == pytest.approx(float(decibel.std(correction=0)), rel=1e-9)


def test_by_hand() -> None:
    left, right = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.1]])
    constant = 10 * math.sqrt(2) / math.log(10)
    assert distances(left.double(), right.double())[0].tolist() == pytest.approx([5 * constant, 0.1 * constant])


def test_against_a_plain_alignment() -> None:
    """Mean along the cheapest path, by a table of costs and a walk back."""
    made, original = A[:4000], E[:5000]
    x, y = (plain_cepstra(w.numpy(), 24, 40) for w in (made, original))
    frames = 10 * np.sqrt(2) / np.log(10) * np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))
    cost = np.full(frames.shape, np.inf)
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for i, j in np.ndindex(*frames.shape):
        ways = [(a, b) for a, b in ((i - 1, j - 1), (i, j - 1), (i - 1, j)) if a >= 0 and b >= 0]
        if ways:
            best[i, j] = min(ways, key=lambda way: cost[way])
        cost[i, j] = frames[i, j] + (cost[best[i, j]] if ways else 0)
    path = [(len(x) - 1, len(y) - 1)]
    while path[-1] in best:
        path.append(best[path[-1]])
    assert mcd(made, original) == pytest.approx(np.mean([frames[step] for step in path]), rel=1e-5)


def test_what_does_not_change_it() -> None:
    assert mcd(A, A) == 0
    assert mcd(0.01 * A, A) == pytest.approx(0, abs=1e-9)
    assert mcd(-A, A) == pytest.approx(0, abs=1e-9)
    assert mcd(0.5 * E, 2 * A) == pytest.approx(mcd(E, A), rel=1e-9)
    assert mcd(E, A) == pytest.approx(mcd(A, E), rel=1e-6) and mcd(E, A) > 3
    later = torch.cat([A[160:], A[-160:]])  # by a frame: the path goes round it
    assert mcd(later, A) < 0.2 * mcd(E, A)
    slower = A.view(-1, 160).repeat_interleave(2, 0).flatten()  # every piece twice
    assert mcd(slower, A) < 0.5 * mcd(E, A)


def test_silence_is_far_from_everything() -> None:
    assert mcd(torch.zeros(8000), torch.zeros(8000)) == 0
    assert mcd(torch.zeros(8000), A) > mcd(E, A)


def test_a_batch_and_ranks() -> None:
    outputs, batch = batch_of([A, E[:5000], E], [E, A, A[:6000]], ["x", "y", "z"])
    found = check_ranks(MelCepstralDistortion, outputs, batch)
    alone_ = [mcd(A, E), mcd(E[:5000], A), mcd(E, A[:6000])]
    assert found == {"mcd": pytest.approx(sum(alone_) / 3, rel=1e-12)}


def test_other_cepstra() -> None:
    """Here the level of each frame, which the default leaves out."""

    def levels(wave: torch.Tensor) -> torch.Tensor:
        return wave.view(-1, 400).square().mean(1, keepdim=True).log() / 2

    found = mcd(2 * A, A, cepstra=levels)
    assert 0 < found <= 10 * math.sqrt(2) / math.log(10) * math.log(2) + 1e-9


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (torch.full((8000,), torch.nan), "a: has NaN or infinite samples"),
        (torch.zeros(399), "a: 399 samples are shorter than a frame of 400; leave the utterance out"),
        (torch.zeros(0), "a: 0 samples are shorter"),
    ],
)
def test_what_cannot_be_measured(made: torch.Tensor, says: str) -> None:
    with pytest.raises(UserError, match=says):
        mcd(made, A)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="24 bands have 23 coefficients without c0, not 24"):
        MelCepstra(bands=24)
    with pytest.raises(ValueError, match="not a whole number of samples"):
        MelCepstra(hop="1/300")
    wrong = Seq(alone(A).data, alone(A).lengths, alone(A).hop * 2)  # type: ignore[operator]
    with pytest.raises(UserError, match="hears audio at 16000 Hz and got 8000 Hz"):
        MelCepstralDistortion().update({"audio": wrong}, {"audio": alone(A), "ids": ["a"]})
    with pytest.raises(UserError, match="MelCepstralDistortion needs 'audio'"):
        MelCepstralDistortion().update({}, {"audio": alone(A), "ids": ["a"]})
