"""Discriminators against plain arithmetic, their sizes against the authors' code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.vocoders.discriminators import Discriminators
from speechunits.vocoders.period_discriminator import PeriodDiscriminator
from speechunits.vocoders.scale_discriminator import ScaleDiscriminator
from speechunits.vocoders.stft_discriminator import STFTDiscriminator
from tests.vocoders import small

EACH = pytest.mark.parametrize("make", [small.period, small.scale, small.stft, small.all_three])


def weight(conv: nn.Module) -> Tensor:
    """g * v / |v| of each output channel, from the stored parameters (Salimans and Kingma 2016, equation 2)."""
    g, v = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    return g * v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))


def wave(samples: int = 1003, rows: int = 2) -> Tensor:
    return torch.randn(rows, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_periods_are_columns_of_the_reflected_waveform() -> None:
    judge, x = PeriodDiscriminator((3, 7), (4, 8, 8)).double(), wave()
    for period, stack, (scores, features) in zip((3, 7), judge.stacks, judge(x), strict=True):
        missing = -1003 % period
        whole = np.concatenate([x, x.numpy()[:, -2 : -2 - missing : -1]], 1)
        found = []
        for column in range(period):  # each by itself, by a convolution of one dimension
            y = torch.from_numpy(whole[:, None, column::period].copy())
            layers = []
            for i, conv in enumerate(stack.convs):
                stride, padding = (3, 2) if i < 2 else (1, 2) if i == 2 else (1, 1)
                y = F.conv1d(y, weight(conv)[..., 0], conv.bias, stride, padding)
                y = y if i == 3 else torch.where(y > 0, y, 0.1 * y)
                layers.append(y)
            found.append(layers)
        expected = [torch.stack(layer, -1) for layer in zip(*found, strict=True)]
        assert len(features) == len(expected) == 4
        for ours, theirs in zip(features, expected, strict=True):
            torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(scores, expected[-1].flatten(1))


def test_scales_hear_means_of_four_samples() -> None:
    judge, x = small.scale().double(), wave()
    heard = np.pad(x.numpy(), ((0, 0), (2, 2)))
    pooled = np.stack([heard[:, i : i + 4].mean(1) for i in range(0, 1004, 2)], 1)
    kernels, strides, groups = (15, 41, 41, 41, 41, 41, 5, 3), (1, 2, 2, 4, 4, 1, 1, 1), (1, 4, 16, 16, 16, 16, 1, 1)
    for y, stack, (scores, features) in zip([x, torch.from_numpy(pooled)], judge.stacks, judge(x), strict=True):
        y = y[:, None]
        assert len(features) == len(stack.convs) == 8
        for conv, k, s, g, found in zip(stack.convs, kernels, strides, groups, features, strict=True):
            if hasattr(conv, "left"):
                w = conv.weight / torch.einsum("o,oc,c->", conv.left, conv.weight.flatten(1), conv.right)
            else:
                w = weight(conv)
            y = F.conv1d(y, w, conv.bias, s, k // 2, groups=g)
            y = y if found is features[-1] else torch.where(y > 0, y, 0.1 * y)
            torch.testing.assert_close(found, y)
        torch.testing.assert_close(scores, y.flatten(1))
    assert [hasattr(stack.convs[0], "left") for stack in judge.stacks] == [True, False], (
        "spectral norm on the first alone"
    )


def test_bands_of_complex_spectra() -> None:
    judge, x = STFTDiscriminator((64,), 4).double(), wave(640)
    centred = x.numpy() - x.numpy().mean(1, keepdims=True)
    level = 0.8 * centred / (np.abs(centred).max(1, keepdims=True) + 1e-9)
    padded = np.pad(level, ((0, 0), (32, 32)), mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    spectrum = np.stack([np.fft.rfft(hann * padded[:, i : i + 64]) for i in range(0, 641, 16)], 1)  # (B, T, F)
    both = torch.from_numpy(np.stack([spectrum.real, spectrum.imag], 1))
    ((scores, features),) = judge(x)
    (resolution,) = judge.resolutions
    close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-6)  # of a window in float32
    close(resolution.spectrum(x), both)
    expected, ends = [], []
    for (low, high), convs in zip([(0, 3), (3, 8), (8, 16), (16, 24), (24, 33)], resolution.bands, strict=True):
        y = both[..., low:high]
        for i, conv in enumerate(convs):
            y = F.conv2d(y, weight(conv), conv.bias, (1, 2 if 0 < i < 4 else 1), (1, 4 if i < 4 else 1))
            y = torch.where(y > 0, y, 0.1 * y)
            expected.append(y)
        ends.append(y)
    expected.append(F.conv2d(torch.cat(ends, -1), weight(resolution.last), resolution.last.bias, padding=1))
    for ours, theirs in zip(features, expected, strict=True):
        close(ours, theirs)
    close(scores, expected[-1].flatten(1))


@pytest.mark.parametrize(
    ("make", "count"),
    [(PeriodDiscriminator, 41_105_770), (ScaleDiscriminator, 29_618_821), (STFTDiscriminator, 1_413_990)],
)
def test_as_many_parameters_as_the_published_ones(make: Callable[[], nn.Module], count: int) -> None:
    """By ``sum(p.numel() for p in model.parameters())`` of jik876/hifi-gan and gemelo-ai/vocos."""
    with torch.device("meta"):
        assert sum(p.numel() for p in make().parameters()) == count


@EACH
def test_a_row_is_judged_alone_and_lets_gradients_through(make: Callable[[], nn.Module]) -> None:
    judge, x = make().double().eval(), wave().requires_grad_()
    together, alone = judge(x), judge(x[1:])
    assert len(together) == len(judge.weights)
    for (scores, features), (score, feature) in zip(together, alone, strict=True):
        assert scores.dim() == 2 and features[-1].flatten(1).equal(scores)
        torch.testing.assert_close(scores[1:], score)
        for ours, theirs in zip(features, feature, strict=True):
            torch.testing.assert_close(ours[1:], theirs)
    sum(scores[0].square().mean() for scores, _ in together).backward()
    assert x.grad[0].abs().sum() > 0 and x.grad[1].abs().sum() == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in judge.parameters())


def test_several_judge_one_after_the_other() -> None:
    judge, x = small.all_three().double().eval(), wave()
    assert isinstance(judge, Discriminators) and judge.weights == (1, 1, 1, 1, 1, 0.5, 0.5)
    each = [scores for part in judge.parts.values() for scores, _ in part(x)]
    assert all(ours.equal(theirs) for (ours, _), theirs in zip(judge(x), each, strict=True))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="seven layers"):
        ScaleDiscriminator(channels=(4, 16))
    with pytest.raises(ValueError, match=r"window of 256 samples needs audio of more than 128, found 100"):
        small.stft()(torch.zeros(1, 100))
