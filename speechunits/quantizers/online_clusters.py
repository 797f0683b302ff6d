"""Codebooks that follow moving vectors: running sums and counts of the vectors that chose each code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits import ranks
from speechunits.seq import Seq


class OnlineClusters(nn.Module):
    """K codebooks of V codes, one for each of K vectors of a frame (DinoSR, Liu et al. 2023, arXiv:2305.10005, eq. 3-5).

    A code is s / n. After an update with sums s' and counts n' of the vectors that chose it, s <- a s + (1 - a) s' and
    n <- a n + (1 - a) n', but a code that nobody chose stays as it is. Vectors of all micro-batches and ranks of an update
    are gathered first and choose by the codebook of the update before: at one micro-batch per rank this is the paper's.

    Sums and counts are float32 buffers, under autocast too; buffers are equal on all ranks.

    Args:
        size: V.
        decay: a.
        revive_after: a code that nobody chose in so many updates becomes the twin of the most popular one, moved by a
            hundredth of its length in a random direction and a hundredth of its weight, so that it goes at once to
            the vectors it wins; several share the most popular ones. None = codes may die, as in the paper.
        dim: features of a vector, supplied by the parent.
        codebooks: K, supplied by the parent.
    """

    sums: Tensor
    counts: Tensor
    idle: Tensor

    def __init__(
        self, size: int = 256, decay: float = 0.9, revive_after: int | None = None, *, dim: int, codebooks: int = 1
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: the share of the old sums lies between 0 and 1, 1 left out")
        if size < 2:
            raise ValueError(f"size={size}: a codebook has at least two codes")
        self.vocab = (size,) * codebooks
        self.decay, self.revive_after = decay, revive_after
        # fairseq: normalised over the codes, feature by feature
        draws = nn.functional.instance_norm(torch.randn(codebooks, dim, size)).transpose(1, 2)
        self.register_buffer("sums", draws.contiguous())
        self.register_buffer("counts", torch.ones(codebooks, size))
        self.register_buffer("idle", torch.zeros(codebooks, size, dtype=torch.int64))  # updates since it was chosen
        self._gathered: tuple[Tensor, Tensor] | None = None

    @property
    def codes(self) -> Tensor:
        """(K, V, D)."""
        return self.sums / self.counts[..., None]

    def forward(self, x: Seq) -> Seq:
        """(B, T, K, D) vectors -> (B, T, K) nearest codes, -1 on padding."""
        codes = self.nearest(x.data.flatten(0, 1)).view(x.data.shape[:3])
        return x.with_data(codes.masked_fill(~x.valid[..., None], -1))

    @torch.no_grad()
    def nearest(self, x: Tensor) -> Tensor:
        """(N, K, D) -> (N, K): the least ``|c|^2 / 2 - x.c``."""
        with torch.autocast(x.device.type, enabled=False):
            codes = self.codes
            offset = codes.square().sum(-1)[:, None] / 2  # (K, 1, V)
            vectors = x.to(codes.dtype).transpose(0, 1)
            return torch.baddbmm(offset, vectors, codes.transpose(1, 2), alpha=-1).argmin(-1).T

    @torch.no_grad()
    def gather(self, x: Tensor, codes: Tensor) -> None:
        """Remember vectors (N, K, D) and the codes (N, K) that they chose, until the update."""
        with torch.autocast(x.device.type, enabled=False):
            chose = nn.functional.one_hot(codes.T, self.vocab[0]).to(self.sums.dtype)  # (K, N, V)
            sums, counts = chose.transpose(1, 2) @ x.to(self.sums.dtype).transpose(0, 1), chose.sum(1)
        if self._gathered is not None:
            sums, counts = sums + self._gathered[0], counts + self._gathered[1]
        self._gathered = (sums, counts)

    def forget(self) -> None:
        """Drop what was gathered for an update that is left out."""
        self._gathered = None

    @torch.no_grad()
    def on_step(self, step: int, root: nn.Module) -> None:
        """Move the codes; every rank must call it."""
        sums, counts = self._gathered or (torch.zeros_like(self.sums), torch.zeros_like(self.counts))
        self.forget()
        ranks.add(sums)
        ranks.add(counts)
        keep = torch.where(counts > 0, self.decay, 1.0)
        self.counts.copy_(keep * self.counts + (1 - keep) * counts)
        self.sums.copy_(keep[..., None] * self.sums + (1 - keep[..., None]) * sums)
        self.idle.copy_(torch.where(counts > 0, 0, self.idle + 1))
        if self.revive_after is not None:
            self._revive(step)

    def _revive(self, step: int) -> None:
        draws = torch.Generator().manual_seed(step)  # the same on all ranks
        popular = self.counts.clone()
        for k, v in (self.idle >= self.revive_after).nonzero().tolist():
            top = int(popular[k].argmax())
            popular[k, top] = popular[k, v] = popular[k, top] / 2
            code = self.sums[k, top] / self.counts[k, top]
            direction = nn.functional.normalize(torch.randn(code.numel(), generator=draws), dim=0).to(code)
            self.counts[k, v] = 0.01 * self.counts[k, top]
            self.sums[k, v] = self.counts[k, v] * (code + 0.01 * code.norm() * direction)
            self.idle[k, v] = 0
