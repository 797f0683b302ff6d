"""Reach: of convolutions whose receptive field is known, and of what hears everything."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from speechunits.seq import Seq
from speechunits.tasks.reach import reach

HOP = Fraction(1, 50)


class Convolved(nn.Module):
    """Convolutions at the rate of the frames, then ``factor`` samples of each."""

    def __init__(self, kernels: list[int], factor: int = 4, everything: bool = False) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(3, 3, k, padding=k // 2) for k in kernels)
        self.factor, self.everything = factor, everything

    def forward(self, x: Seq) -> Seq:
        data = x.data.transpose(1, 2)
        for conv in self.convs:
            data = nn.functional.leaky_relu(conv(data), 0.1)
        if self.everything:
            data = data - data.mean(2, keepdim=True)
        wave = data.sum(1).repeat_interleave(self.factor, 1).tanh()
        return Seq(wave, x.lengths * self.factor, Fraction(1, 50 * self.factor))


@pytest.mark.parametrize(("kernels", "expected"), [([1], 1), ([3], 2), ([5, 7], 6), ([33, 35], 34), ([129, 31], 80)])
def test_one_more_than_the_receptive_field(kernels: list[int], expected: int) -> None:
    assert reach(Convolved(kernels), torch.randn(600, 3), HOP) == expected


def test_no_end_is_found_where_there_is_none_or_too_little_to_look_at() -> None:
    frames = torch.randn(600, 3)
    assert reach(Convolved([3], everything=True), frames, HOP) is None
    assert reach(Convolved([3]), frames[:40], HOP) is None


def test_under_inference_and_without_a_trace() -> None:
    made = Convolved([5])
    with torch.inference_mode():
        assert reach(made, torch.randn(600, 3), HOP) == 3
    assert all(p.grad is None for p in made.parameters())
