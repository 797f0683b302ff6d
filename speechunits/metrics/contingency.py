"""How well units match phones, from their joint counts: PNMI, phone purity, cluster purity, and run lengths.

HuBERT (Hsu et al. 2021, https://arxiv.org/abs/2106.07447), section IV-C; the same figures as fairseq's
``examples/hubert/measure_teacher_quality.py`` but for the 1e-8 that it adds inside the logarithms.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def contingency(phones: Tensor, units: Tensor) -> Tensor:
    """Joint counts (P, V), float64, of phone ids (N,) and unit ids (N,); frames with phone -1 are left out.

    Raises:
        ValueError: the lengths differ, or no frame is labelled.
    """
    if phones.shape != units.shape or phones.dim() != 1:
        raise ValueError(f"phones and units must be (N,) alike, got {tuple(phones.shape)} and {tuple(units.shape)}")
    labelled = phones >= 0
    phones, units = phones[labelled].long(), units[labelled].long()
    if not len(phones):
        raise ValueError("no frame carries a phone label: check the alignment field")
    shape = int(phones.max()) + 1, int(units.max()) + 1
    return torch.bincount(phones * shape[1] + units, minlength=shape[0] * shape[1]).view(shape).double()


def entropy(counts: Tensor) -> float:
    """Entropy in nats of the distribution that ``counts`` (any shape, not all 0) are proportional to."""
    p = counts.double() / counts.sum()
    return float(-torch.xlogy(p, p).sum())


def pnmi(counts: Tensor) -> float:
    """Phone-normalised mutual information I(phone; unit) / H(phone) of joint counts (P, V), in [0, 1].

    nan where only one phone occurs: H(phone) is 0.
    """
    phone = entropy(counts.sum(1))
    return (phone + entropy(counts.sum(0)) - entropy(counts)) / phone if phone > 0 else float("nan")


def phone_purity(counts: Tensor) -> float:
    """Share of frames that carry the most frequent phone of their unit, from joint counts (P, V)."""
    return float(counts.amax(0).sum() / counts.sum())


def cluster_purity(counts: Tensor) -> float:
    """Share of frames that carry the most frequent unit of their phone, from joint counts (P, V)."""
    return float(counts.amax(1).sum() / counts.sum())


def mean_run(labels: Iterable[Tensor]) -> float:
    """Mean length in frames of the runs of one label, over utterances (T_i,); runs of -1 do not count.

    nan where there is no frame.
    """
    frames = runs = 0
    for x in labels:
        kept = torch.unique_consecutive(x)
        frames += int((x >= 0).sum())
        runs += int((kept >= 0).sum())
    return frames / runs if runs else float("nan")
