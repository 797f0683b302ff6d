"""The convolution written out frame by frame, with the ends of chunks and of utterances as zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.nn.depthwise_conv import DepthwiseConv
from speechunits.nn.horizon import Horizon
from speechunits.seq import Seq

LENGTHS = (13, 7)


@pytest.mark.parametrize("chunk", [None, 1, 4, 40])
@pytest.mark.parametrize(("kernel", "causal"), [(5, False), (5, True), (4, True), (1, False)])
def test_is_a_sum_over_the_frames_that_may_be_heard(kernel: int, causal: bool, chunk: int | None) -> None:
    part = DepthwiseConv(3, kernel, causal).double()
    x = Seq(torch.randn(2, 13, 3, dtype=torch.float64), torch.tensor(LENGTHS), None)
    found = part(x.data, Horizon.over(x, 2, chunk)).detach().numpy()
    weight, bias = part.conv.weight.detach().numpy()[:, 0], part.conv.bias.detach().numpy()
    offset = kernel - 1 if causal else kernel // 2
    assert (part.left_context, part.right_context) == (offset, kernel - 1 - offset)
    for b, real in enumerate(LENGTHS):
        for t in range(real):
            end = real if chunk is None else min(real, (t // chunk + 1) * chunk)
            heard = [(k, t + k - offset) for k in range(kernel) if 0 <= t + k - offset < end]
            expected = bias + sum((weight[:, k] * x.data[b, j].numpy() for k, j in heard), np.zeros(3))
            np.testing.assert_allclose(found[b, t], expected, rtol=0, atol=1e-12)


def test_a_kernel_that_stands_around_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel 4: give an odd number"):
        DepthwiseConv(3, 4)
