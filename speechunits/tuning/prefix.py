"""Train keys and values that every frame may attend to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.tuning.layers import transformer_layers


class Prefix:
    """``count`` learned keys and values before those of the frames, in every layer (Li and Liang 2021, arXiv:2101.00190,
    section 4), trained directly and not through the paper's extra network.

    They start as normal numbers of deviation ``init`` and take some attention from the frames: unlike LoRA and adapters,
    a prefix changes the encoder's output from the beginning.

    Args:
        count: learned keys (and values) of each layer.
        init: see above.
    """

    def __init__(self, count: int = 16, init: float = 0.02) -> None:
        if count < 1:
            raise ValueError(f"count is {count}: a prefix has at least one key")
        self.count, self.init = count, init

    def __call__(self, encoder: nn.Module) -> None:
        encoder.requires_grad_(False)
        for layer in transformer_layers(encoder):
            attention = layer.attention
            features = attention.qkv.in_features // attention.heads
            attention.prefix = _Prefix(attention.heads, self.count, features, self.init).to(attention.qkv.weight)


class _Prefix(nn.Module):
    def __init__(self, heads: int, count: int, features: int, init: float) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.randn(heads, count, features) * init)
        self.values = nn.Parameter(torch.randn(heads, count, features) * init)

    def forward(self, k: Tensor, v: Tensor, keys: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values (B, H, T, D / H) and which may be attended to -> the same with P more in front."""
        more = [own.to(x.dtype).expand(len(x), -1, -1, -1) for own, x in ((self.keys, k), (self.values, v))]
        if keys is not None:
            keys = F.pad(keys, (self.keys.size(1), 0), value=True)
        return torch.cat([more[0], k], 2), torch.cat([more[1], v], 2), keys
