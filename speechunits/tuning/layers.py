"""The transformer layers of an encoder: where adapters, low ranks and prefixes go."""

from __future__ import annotations

from torch import nn

from speechunits.nn.transformer import TransformerLayer


def transformer_layers(encoder: nn.Module) -> list[TransformerLayer]:
    """In the order in which they run.

    Raises:
        ValueError: there are none.
    """
    found = [module for module in encoder.modules() if isinstance(module, TransformerLayer)]
    if not found:
        raise ValueError(
            f"{type(encoder).__name__} has no TransformerLayer: train it with speechunits.tuning.full.Full"
        )
    return found
