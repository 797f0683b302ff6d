"""What frames may hear of each other in one pass over a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from speechunits.nn.memory import Memory
from speechunits.nn.rotary import rotary_angles, turn
from speechunits.seq import Seq


@dataclass(frozen=True)
class Horizon:
    """The whole utterance, or in chunks: a frame hears its own chunk and ``left`` frames before that.

    Blocks ask it for all that crosses frames, so that a pass over an utterance and passes over its chunks, with a
    ``memory`` in between, are one computation.

    Args:
        padding: (B, T, 1) bool, True where no frame is real; None = all are.
        keys: what attention may attend to, bool that expands to (B, H, T, S), with S = T and the remembered frames before;
            None = everything.
        angles: of rotary positions, two of (S, W).
        chunk, left: frames; None = unlimited.
        memory: of the block that is called; None = nothing came before and nothing will follow.
    """

    padding: Tensor | None
    keys: Tensor | None
    angles: tuple[Tensor, Tensor]
    chunk: int | None
    left: int | None
    memory: Memory | None = None

    @classmethod
    def over(cls, x: Seq, width: int, chunk: int | None = None, left: int | None = None, start: int = 0) -> Horizon:
        """Of a pass over ``x`` (B, T, ...).

        Args:
            width: features of an attention head.
            start: frames that went before, a multiple of ``chunk``.
        """
        frames = x.data.size(1)
        past = start if left is None else min(start, left)
        at = torch.arange(-past, frames, device=x.data.device)
        padding = keys = None
        if x.data.is_cuda or bool((x.lengths != frames).any()):  # on a GPU the question would cost a sync
            padding = ~x.valid[..., None]
            keys = (at < x.lengths.clamp(min=1)[:, None])[:, None, None]  # of no frame at all: NaN
        if chunk is not None and frames > chunk:
            begin = (at[past:] // chunk * chunk)[:, None]
            near = at < begin + chunk
            if left is not None:
                near &= at >= begin - left
            # padding hears itself, for the same reason
            keys = near if keys is None else keys & near | (at == at[past:, None])
        return cls(padding, keys, rotary_angles(past + frames, width, x.data), chunk, left)

    def reach(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, W), keys and values -> turned, keys and values (B, H, S, W) with the remembered ones."""
        if self.memory is not None:  # as they were before turning, so that positions stay small in hours of audio
            k, v = self.memory.extend(k, self.left, 2), self.memory.extend(v, self.left, 2)
        cos, sin = self.angles
        return turn(q, cos[-q.size(2) :], sin[-q.size(2) :]), turn(k, cos, sin), v

    def clear(self, x: Tensor) -> Tensor:
        """(B, T, D) -> the same with zeros on padding."""
        return x if self.padding is None else x.masked_fill(self.padding, 0)

    def before(self, x: Tensor, frames: int) -> Tensor:
        """(B, T, D) -> (B, ``frames`` + T, D), zeros on padding, with the remembered frames or zeros in front."""
        x = self.clear(x)
        if self.memory is None or not self.memory.past:
            x = F.pad(x, (0, 0, frames, 0))
        return x if self.memory is None else self.memory.extend(x, frames, 1)
