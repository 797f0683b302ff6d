"""One voice's melody and rhythm for another: plain functions of prosody (B, T, 3), see ``frontends.prosody``."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.nn.prosody_scale import ProsodyScale
from speechunits.seq import Seq, pad, unpad
from speechunits.units.dedup import Dedup


def revoiced(prosody: Seq, source: ProsodyScale, target: ProsodyScale) -> Seq:
    """The melody in the range of another voice: ln F0 with the source's mean and deviation gets those of the target. Voicing,
    energy and time stay (Gaussian normalised transformation, Liu et al. 2007, "High quality voice conversion through
    phoneme-based linear mapping functions with STRAIGHT for Mandarin").

    Raises:
        UserError: nobody knows the pitch of the target, which has no voiced frame.
    """
    if not bool(target.mean[:, 0].all()):
        raise UserError(
            "no frame of the target speaker is voiced, so its pitch is not known; give another recording of it"
        )
    moved = target.restore(source.standardise(prosody))
    return prosody.with_data(torch.cat([moved.data[..., :2], prosody.data[..., 2:]], -1))


def retimed(prosody: Seq, before: Seq, after: Seq) -> Seq:
    """The same melody in another rhythm: of every unit, frames that lie at the same share of it.

    Args:
        prosody: (B, T, 3), T frames of the hop in which durations are counted.
        before: (B, N) frames that each unit lasts in it. after: (B, N) frames that each is to last.

    Raises:
        ValueError: before and after are of different units.
    """
    if not before.lengths.equal(after.lengths):
        raise ValueError(
            f"{before.lengths.tolist()} durations before, {after.lengths.tolist()} after: of different units"
        )
    rows = zip(unpad(prosody), unpad(before), unpad(after), strict=True)
    return pad([row[_places(old, new).clamp(max=len(row) - 1)] for row, old, new in rows], prosody.hop)


def _places(before: Tensor, after: Tensor) -> Tensor:
    """(N,) frames of units before and after -> which frame before each frame after takes, (sum of after,)."""
    unit = torch.arange(len(after), device=after.device).repeat_interleave(after)
    inside = torch.arange(len(unit), device=after.device) - (after.cumsum(0) - after)[unit]
    share = (inside.double() + 0.5) / after[unit]
    return (before.cumsum(0) - before)[unit] + (share * before[unit]).long().minimum((before[unit] - 1).clamp(min=0))


def merged(units: Seq) -> tuple[Seq, Seq]:
    """Units of all frames, (B, T) or (B, T, K) -> one of each run, without a hop, and the frames of each run (B, N)."""
    rows = [Dedup.shorten(ids, ids.new_ones(len(ids))) for ids in unpad(units)]
    ids, frames = zip(*rows, strict=True)
    device = units.data.device
    return pad(ids, None).to(device), pad(frames, units.hop).to(device)


def repeated(x: Seq, frames: Seq) -> Seq:
    """(B, N, ...) units -> (B, T, ...), each for its frames (B, N), at their hop; undoes ``merged``."""
    rows = [row.repeat_interleave(n, 0) for row, n in zip(unpad(x), unpad(frames), strict=True)]
    return pad(rows, frames.hop).to(x.data.device)
