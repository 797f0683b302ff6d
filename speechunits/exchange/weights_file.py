"""One file of weights: safetensors, or what ``torch.save`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from speechunits.errors import UserError
from speechunits.exchange.inert_pickle import read_checkpoint


def read_tensors(path: Path) -> Any:
    """What a file holds: a mapping of a checkpoint, one of weights, or one tensor of centroids.

    Raises:
        UserError: truncated or damaged.
    """
    if path.suffix != ".safetensors":
        return read_checkpoint(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: truncated or damaged ({error}); get the file again") from error
