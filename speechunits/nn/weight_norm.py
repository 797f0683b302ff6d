"""The end of weight normalisation."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize


def fold_weight_norm(root: nn.Module) -> None:
    """Make plain weights of all that are normalised (Salimans and Kingma 2016, arXiv:1602.07868), in place: the same output,
    without the products at every pass.
    """
    for part in list(root.modules()):
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")
