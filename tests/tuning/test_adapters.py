"""Adapters against their equation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from speechunits.nn.transformer import TransformerLayer
from speechunits.tuning.adapters import Adapters


def test_a_bottleneck_on_what_each_part_adds() -> None:
    """Norm last: x' = norm(x + A(attention(x))), x'' = norm(x' + A'(ffn(x')))."""
    torch.manual_seed(0)
    layer = TransformerLayer(6, 10, 2, 0.0, 0.0).double()
    Adapters(3)(layer)
    for part in (layer.attention_adapter, layer.ffn_adapter):
        torch.nn.init.normal_(part.up.weight)
    x = torch.randn(2, 5, 6, dtype=torch.float64)

    def adapted(part: torch.nn.Module, h: torch.Tensor) -> torch.Tensor:
        down = F.gelu(h @ part.down.weight.T + part.down.bias)
        return h + down @ part.up.weight.T + part.up.bias

    one = layer.attention_norm(x + adapted(layer.attention_adapter, layer.attention(x)))
    two = layer.ffn_norm(one + adapted(layer.ffn_adapter, layer.down(F.gelu(layer.up(one)))))
    torch.testing.assert_close(layer(x)[0], two, rtol=1e-12, atol=1e-12)


def test_norms_are_trained_unless_told_otherwise() -> None:
    for norms in (True, False):
        layer = TransformerLayer(6, 10, 2)
        Adapters(3, norms)(layer)
        names = {name.split(".")[0] for name, p in layer.named_parameters() if p.requires_grad}
        assert names == {"attention_adapter", "ffn_adapter"} | ({"attention_norm", "ffn_norm"} if norms else set())
