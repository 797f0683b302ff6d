"""Normalisation over the real frames of an utterance."""

from __future__ import annotations

from speechunits.seq import Seq


def instance_norm(x: Seq, eps: float = 1e-5) -> Seq:
    """(B, T, D): every feature to mean 0 and variance 1 over the real frames of its utterance; padding becomes 0.

    ``torch.nn.functional.instance_norm`` of one utterance at a time.
    """
    real, n = x.valid[..., None], x.lengths.clamp(min=1)[:, None, None]
    centred = (x.data - (x.data * real).sum(1, keepdim=True) / n) * real
    return x.with_data(centred / (centred.square().sum(1, keepdim=True) / n + eps).sqrt())
