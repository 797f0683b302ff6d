"""Cosine scores between projected frames and learned code embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter


class CosineHead(nn.Module):
    """HuBERT's output layer (Hsu et al. 2021, eq. 3): softmax over cos(A o_t, e_c) / tau.

    The published code builds a (K + 1, S, D) tensor for it; the same numbers come from one GEMM of unit vectors.

    Args:
        features: of the space where frames and code embeddings meet (fairseq ``final_dim``: 256 base, 768 large).
        temperature: tau.
        dim, vocab: supplied by the objective.
    """

    def __init__(self, features: int = 256, temperature: float = 0.1, *, dim: int, vocab: tuple[int, ...]) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: scores are divided by it, so give a number above 0")
        self.temperature, self.vocab, self.features = temperature, tuple(vocab), features
        self.projection = nn.Linear(dim, features * len(self.vocab))
        self.codes = nn.ParameterList(Parameter(torch.rand(v, features)) for v in self.vocab)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, dim) -> K tensors (N, V_k)."""
        books = F.normalize(self.projection(x).unflatten(-1, (len(self.vocab), self.features)), dim=-1)
        return tuple(
            books[:, k] @ F.normalize(codes, dim=-1).T / self.temperature for k, codes in enumerate(self.codes)
        )
