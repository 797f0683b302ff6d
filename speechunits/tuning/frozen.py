"""Train nothing of the encoder."""

from __future__ import annotations

from torch import nn


class Frozen:
    """The encoder as it is, as features of what stands on it (SUPERB, Yang et al. 2021, arXiv:2105.01051)."""

    def __call__(self, encoder: nn.Module) -> None:
        encoder.requires_grad_(False)
