"""Linear scores over the codes of each codebook."""

from __future__ import annotations

from torch import Tensor, nn


class LinearHead(nn.Module):
    """One linear classifier per codebook.

    Args:
        temperature: scores are divided by it (Fast-HuBERT and k2SSL: 0.1).
        dim, vocab: supplied by the objective.
    """

    def __init__(self, temperature: float = 1.0, *, dim: int, vocab: tuple[int, ...]) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: scores are divided by it, so give a number above 0")
        self.temperature, self.vocab = temperature, tuple(vocab)
        self.linear = nn.Linear(dim, sum(self.vocab))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, dim) -> K tensors (N, V_k), one GEMM for all codebooks."""
        return (self.linear(x) / self.temperature).split(self.vocab, -1)
