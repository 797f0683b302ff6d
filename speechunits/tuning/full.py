"""Train the whole encoder."""

from __future__ import annotations

import copy

from torch import nn


class Full:
    """Everything but the frontend (wav2vec 2.0, section 4.3: the feature encoder is not trained in fine-tuning).

    Args:
        frontend: train that too.
    """

    def __init__(self, frontend: bool = False) -> None:
        self.frontend = frontend

    def __call__(self, encoder: nn.Module) -> None:
        encoder.requires_grad_(True)
        encoder.frontend.requires_grad_(self.frontend)

    def plain(self, encoder: nn.Module) -> nn.Module:
        return copy.deepcopy(encoder)
