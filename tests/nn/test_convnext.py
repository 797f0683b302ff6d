"""The block written out in numpy, and in an encoder of blocks."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from speechunits.encoders.block_encoder import BlockEncoder
from speechunits.nn.convnext import ConvNeXtBlock
from speechunits.nn.horizon import Horizon
from speechunits.seq import Seq


def test_is_filter_norm_and_feed_forward() -> None:
    part = ConvNeXtBlock(6, 3, scale=0.5, dim=4).double()
    for p in part.parameters():
        p.data += 0.3 * torch.randn_like(p)
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    found = part(x, Horizon.over(Seq(x, torch.tensor([5]), None), 2)).detach().numpy()[0]
    w = {name: p.detach().numpy() for name, p in part.named_parameters()}
    padded = np.pad(x.numpy()[0], ((1, 1), (0, 0)))
    y = sum(padded[k : k + 5] * w["conv.conv.weight"][:, 0, k] for k in range(3)) + w["conv.conv.bias"]
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6)
    up = (y * w["norm.weight"] + w["norm.bias"]) @ w["up.weight"].T + w["up.bias"]
    up = up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2
    expected = x.numpy()[0] + w["scale"] * (up @ w["down.weight"].T + w["down.bias"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_begins_as_it_is_told() -> None:
    part = ConvNeXtBlock(64, 7, scale=0.25, dim=32)
    assert float(part.up.weight.detach().std()) == pytest.approx(0.02, rel=0.1) and not part.up.bias.any()
    assert part.scale.tolist() == [0.25] * 32


def test_is_a_block_of_an_encoder_that_streams() -> None:
    """Frames of later chunks are not heard, so that chunks one by one give what the whole gives."""
    encoder = BlockEncoder(partial(ConvNeXtBlock, 8, 3), depth=2, dim=4, heads=1, chunk=3, left=6).double().eval()
    x = Seq(torch.randn(2, 9, 4, dtype=torch.float64), torch.tensor([9, 7]), None)
    whole, state = encoder(x).final.data, encoder.begin()
    pieces = []
    for start in (0, 3, 6):
        given = Seq(x.data[:, start : start + 3], (x.lengths - start).clamp(0, 3), None)
        made = encoder(given, state=state)
        state = made.state
        pieces.append(made.final.data)
    torch.testing.assert_close(torch.cat(pieces, 1)[x.valid], whole[x.valid], rtol=0, atol=1e-12)
