"""MemoryAttention against torch's own module, remembered at once and bit by bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from speechunits.nn.memory_attention import MemoryAttention


def reference(ours: MemoryAttention) -> nn.MultiheadAttention:
    k, v = ours.memory.weight.chunk(2)
    theirs = nn.MultiheadAttention(12, 3, kdim=5, vdim=5, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "q_proj_weight": ours.query.weight, "k_proj_weight": k, "v_proj_weight": v,
            "in_proj_bias": torch.cat([ours.query.bias, ours.memory.bias]),
            "out_proj.weight": ours.out.weight, "out_proj.bias": ours.out.bias,
        }
    )  # fmt: skip
    return theirs


def test_is_torchs_multihead_attention() -> None:
    torch.manual_seed(0)
    ours = MemoryAttention(12, 3, dim_source=5).double()
    x, source = torch.randn(2, 4, 12).double(), torch.randn(2, 7, 5).double()
    real = torch.arange(7) < torch.tensor([[7], [3]])
    want, _ = reference(ours)(x, source, source, key_padding_mask=~real)
    found = ours(x, ours.remember(source), real[:, None, None])
    torch.testing.assert_close(found, want, rtol=0, atol=1e-12)
    parts = torch.cat([ours.remember(part) for part in source.split(3, 1)], 3)
    torch.testing.assert_close(ours(x, parts, real[:, None, None]), want, rtol=0, atol=1e-12)


def test_causal_is_one_after_the_other() -> None:
    torch.manual_seed(0)
    layer, x = MemoryAttention(8, 2).double(), torch.randn(2, 5, 8).double()
    whole = layer(x, layer.remember(x), causal=True)
    for t in range(5):
        alone = layer(x[:, t : t + 1], layer.remember(x[:, : t + 1]))
        torch.testing.assert_close(whole[:, t], alone[:, 0], rtol=0, atol=1e-12)


def test_dropout_is_for_training() -> None:
    layer, x = MemoryAttention(8, 2, dropout=0.5), torch.randn(1, 6, 8)
    assert not torch.equal(layer(x, layer.remember(x)), layer(x, layer.remember(x)))
    layer.eval()
    assert torch.equal(layer(x, layer.remember(x)), layer(x, layer.remember(x)))


def test_nothing_to_attend_to() -> None:
    layer, x = MemoryAttention(8, 2), torch.randn(2, 3, 8, requires_grad=True)
    y = layer(x, layer.remember(x), torch.tensor([True, False])[:, None, None, None].expand(2, 1, 1, 3))
    torch.testing.assert_close(y[1], layer.out.bias.expand(3, 8))
    y.sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_heads_must_divide() -> None:
    with pytest.raises(ValueError, match="dim 8 does not divide into 3 heads"):
        MemoryAttention(8, 3)
