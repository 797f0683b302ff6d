"""The whole block written out in numpy from the paper's figure, rotary attention included."""

from __future__ import annotations

import math

import numpy as np
import torch

from speechunits.nn.ebranchformer import EBranchformerBlock
from speechunits.nn.horizon import Horizon
from speechunits.seq import Seq

T, DIM, HEADS = 6, 8, 2


def norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def conv(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    filters = w[f"{name}.conv.weight"][:, 0]
    half = filters.shape[1] // 2
    padded = np.pad(x, ((half, half), (0, 0)))
    return sum(padded[k : k + T] * filters[:, k] for k in range(2 * half + 1)) + w[f"{name}.conv.bias"]


def feed_forward(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    y = linear(norm(x, w, f"{name}.norm"), w, f"{name}.up")
    return linear(y / (1 + np.exp(-y)), w, f"{name}.down")


def attention(x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    width = DIM // HEADS
    q, k, v = np.split(linear(norm(x, w, "attention_norm"), w, "attention.qkv"), 3, -1)
    angles = np.arange(T)[:, None] * 10000.0 ** (-2 * np.arange(width // 2) / width)
    out = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        a, b = ((z[:, part][:, : width // 2] + 1j * z[:, part][:, width // 2 :]) * np.exp(1j * angles) for z in (q, k))
        scores = np.exp((a @ b.conj().T).real / math.sqrt(width))
        out.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
    return linear(np.concatenate(out, -1), w, "attention.out")


def gating(x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    up = linear(norm(x, w, "gating.norm"), w, "gating.up")
    left, right = np.split(up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2, 2, -1)
    return linear(left * conv(norm(right, w, "gating.gate_norm"), w, "gating.conv"), w, "gating.down")


def test_is_the_papers_block() -> None:
    """Kim et al. 2022, section 3: y = x + (Z + DwConv(Z)) W, Z = [attention, gating MLP], between two half steps."""
    block = EBranchformerBlock(10, 12, 3, 5, dim=DIM, heads=HEADS).double().eval()
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.4)
    w = {name: p.detach().numpy() for name, p in block.named_parameters()}
    x = torch.randn(1, T, DIM, dtype=torch.float64)
    found = block(x, Horizon.over(Seq(x, torch.tensor([T]), None), DIM // HEADS)).detach().numpy()[0]
    y = x.numpy()[0]
    y = y + feed_forward(y, w, "ffn_before") / 2
    both = np.concatenate([attention(y, w), gating(y, w)], -1)
    y = y + linear(both + conv(both, w, "merge_conv"), w, "merge")
    y = norm(y + feed_forward(y, w, "ffn_after") / 2, w, "norm")
    np.testing.assert_allclose(found, y, rtol=0, atol=1e-10)
