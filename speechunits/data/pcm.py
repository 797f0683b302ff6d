"""Samples from a pipe, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from speechunits.errors import UserError

WIDTH = 2  # bytes of a sample


def pcm_blocks(file: BinaryIO, size: int = 1 << 16) -> Iterator[Tensor]:
    """Raw 16-bit little-endian mono PCM -> blocks (S,) float32 in [-1, 1), each as soon as it is there.

    Args:
        size: bytes of a block at most.

    Raises:
        UserError: there is no sample, or the last one is cut in two.
    """
    rest, any_came = b"", False
    while came := file.read1(size):  # type: ignore[attr-defined]  # what is there, without waiting for more
        rest += came
        whole = len(rest) // WIDTH * WIDTH
        if whole:
            any_came = True
            yield torch.from_numpy(np.frombuffer(rest[:whole], "<i2").astype(np.float32)) / 32768
        rest = rest[whole:]
    if rest:
        raise UserError("the input ends in the middle of a sample; give raw 16-bit little-endian mono PCM")
    if not any_came:
        raise UserError("the input has no sample; pipe raw 16-bit little-endian mono PCM into it")
