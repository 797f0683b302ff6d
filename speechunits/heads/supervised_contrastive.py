"""Vectors of one speaker nearer to each other than to those of others in the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from speechunits.term import Term


class SupervisedContrastive(nn.Module):
    """Supervised contrastive loss (Khosla et al. 2020, arXiv:2004.11362, equation 2): every vector must find those of its
    speaker among all others of the batch. Views of an utterance are of one speaker, so a batch of strangers has pairs too.

    It compares the utterances of a micro-batch: other micro-batches are another loss. The same ones on other ranks, or
    accumulated, are not.

    Args:
        temperature: scores are cosines divided by it.
        weight: of the loss.

    Raises:
        ValueError: the temperature is not above 0.
    """

    batch_statistics = True

    def __init__(self, temperature: float = 0.1, weight: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: scores are divided by it, so give a number above 0")
        self.temperature, self.weight = temperature, weight

    def counts(self, views: int, speakers: Sequence[str]) -> dict[str, Tensor]:
        """Vectors with another one of their speaker, from names alone."""
        return {"loss": torch.tensor(sum(views * n for n in Counter(speakers).values() if views * n > 1))}

    def forward(self, vectors: Tensor, speakers: Sequence[str]) -> dict[str, Term]:
        """Unit vectors (V, B, D), V views of each of B utterances -> ``loss`` (nats per vector that has a partner)."""
        numbers = {name: i for i, name in enumerate(dict.fromkeys(speakers))}
        ids = torch.tensor([numbers[name] for name in speakers], device=vectors.device).repeat(len(vectors))
        with torch.autocast(vectors.device.type, enabled=False):
            x = vectors.flatten(0, 1)
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
            scores = (x @ x.T / self.temperature).masked_fill(itself, torch.finfo(x.dtype).min)
            partners = (ids[:, None] == ids) & ~itself
            found = scores.log_softmax(1).masked_fill(~partners, 0.0).sum(1) / partners.sum(1).clamp(min=1)
        return {"loss": Term(-found.sum(), partners.any(1).sum(), self.weight)}
