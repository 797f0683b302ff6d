"""Train biases alone."""

from __future__ import annotations

import copy

from torch import nn


class Biases:
    """Every bias of the encoder but those of its frontend (BitFit: Ben Zaken et al. 2022, arXiv:2106.10199).

    Raises:
        ValueError: the encoder has no bias.
    """

    def __call__(self, encoder: nn.Module) -> None:
        encoder.requires_grad_(False)
        biases = [p for name, p in encoder.named_parameters() if name.endswith("bias") and "frontend." not in name]
        if not biases:
            raise ValueError("the encoder has no bias outside its frontend: there is nothing to train")
        for bias in biases:
            bias.requires_grad_(True)

    def plain(self, encoder: nn.Module) -> nn.Module:
        return copy.deepcopy(encoder)
