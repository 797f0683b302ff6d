"""Length regulator: each symbol for as many frames as it lasts."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.seq import Seq


def regulate(x: Seq, durations: Tensor) -> tuple[Seq, Tensor]:
    """(B, L, D) and (B, L) int64 frames of each, 0 on padding -> (B, T, D), zeros on padding, and (B, T, 2) where a frame lies
    in its symbol: the share of it that is over in the frame's middle, and ln of its frames (Ren et al. 2019, arXiv:1905.09263,
    eq. 1; repeated vectors do not tell their frames apart).
    """
    ends = durations.cumsum(1)
    lengths = ends[:, -1]
    times = torch.arange(int(lengths.max()), device=ends.device).expand(len(ends), -1)
    owner = torch.searchsorted(ends, times.contiguous(), right=True).clamp(max=ends.size(1) - 1)
    lasting = durations.gather(1, owner).clamp(min=1).to(x.data.dtype)
    since = (times - (ends - durations).gather(1, owner)).to(x.data.dtype)
    frames = Seq(x.data.gather(1, owner[..., None].expand(-1, -1, x.data.size(2))), lengths, None)
    places = torch.stack([(since + 0.5) / lasting, lasting.log()], -1)
    real = frames.valid[..., None]
    return frames.with_data(frames.data * real), places * real
