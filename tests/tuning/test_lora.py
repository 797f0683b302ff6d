"""LoRA against its equation, third by third of the fused projection."""

from __future__ import annotations

import pytest
import torch

from speechunits.nn.transformer import TransformerLayer
from speechunits.tuning.lora import LoRA


@pytest.mark.parametrize("names", [["query"], ["value", "query"], ["key", "out", "up"], ["down"]])
def test_the_weight_is_w_plus_scaled_b_a(names: list[str]) -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(6, 10, 2).double()
    before = {"qkv": layer.attention.qkv.weight.clone(), "out": layer.attention.out.weight.clone()}
    before |= {"up": layer.up.weight.clone(), "down": layer.down.weight.clone()}
    LoRA(rank=2, alpha=3.0, projections=names)(layer)  # type: ignore[arg-type]
    for name, p in layer.named_parameters():
        if name.endswith(".b"):
            torch.nn.init.normal_(p)
    linears = {"qkv": layer.attention.qkv, "out": layer.attention.out, "up": layer.up, "down": layer.down}
    thirds = {"query": 0, "key": 1, "value": 2}
    for place, linear in linears.items():
        chosen = [n for n in names if n == place or (place == "qkv" and n in thirds)]
        change = torch.zeros_like(before[place])
        for i, name in enumerate(chosen):
            added = linear.parametrizations.weight[0]
            block = slice(6 * thirds[name], 6 * thirds[name] + 6) if place == "qkv" else slice(None)
            change[block] = 3.0 / 2 * added.b[i] @ added.a[i]
        torch.testing.assert_close(linear.weight, before[place] + change, rtol=1e-12, atol=1e-12)
        assert bool(chosen) == bool(change.any())
