"""WeightedSum: the mean of all layers at first, then what is learned."""

from __future__ import annotations

import torch

from speechunits.heads.weighted_sum import WeightedSum


def layers() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 5, 4, dtype=torch.float64) * 10**i for i in range(3)]


def test_it_starts_as_the_mean() -> None:
    torch.testing.assert_close(WeightedSum(depth=2).double()(layers()), torch.stack(layers()).mean(0))


def test_softmax_of_the_weights() -> None:
    mix = WeightedSum(depth=2).double()
    mix.weights.data = torch.tensor([0.0, 1.0, -2.0]).double()
    share = mix.weights.exp() / mix.weights.exp().sum()
    torch.testing.assert_close(mix(layers()), sum(s * x for s, x in zip(share, layers(), strict=True)))
    mix(layers()).square().sum().backward()
    assert mix.weights.grad is not None and abs(float(mix.weights.grad.sum())) < 1e-6 * mix.weights.grad.abs().max()


def test_every_layer_normalised() -> None:
    """s3prl: layer_norm(x, (D,)) of each layer, so that none drowns the others."""
    x = layers()
    want = sum((y - y.mean(-1, keepdim=True)) / (y.var(-1, correction=0, keepdim=True) + 1e-5).sqrt() for y in x) / 3
    torch.testing.assert_close(WeightedSum(normalize=True, depth=2).double()(x), want)
