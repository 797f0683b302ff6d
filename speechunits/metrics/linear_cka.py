"""How alike sets of features of the same frames are, whatever their axes: linear CKA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def linear_cka(sets: Sequence[Tensor]) -> Tensor:
    """Linear centred kernel alignment of any two of P feature sets, (P, P) float64 in [0, 1].

    ``|y'x|^2 / (|x'x| |y'y|)`` of the centred features, norms of Frobenius (Kornblith et al. 2019,
    https://arxiv.org/abs/1905.00414, section 3 and table 1): 1 where one is the other rotated, scaled and moved. It is the
    biased estimator: with N frames, independent features of effective rank d still give about d / (d + N), so give many
    frames. nan where a set is constant.

    Args:
        sets: (N, D_p) each, of the same frames; two at a time are held in float64.

    Raises:
        ValueError: the numbers of frames differ.
    """
    if len(frames := {len(x) for x in sets}) > 1:
        raise ValueError(f"CKA compares features of the same frames, got {sorted(frames)} of them")

    def centred(x: Tensor) -> Tensor:
        return x.double() - x.double().mean(0)

    out = torch.ones(len(sets), len(sets), dtype=torch.float64)
    for i, one in enumerate(sets):
        x = centred(one)
        for j in range(i + 1):
            out[i, j] = out[j, i] = (centred(sets[j]).T @ x).square().sum()
    within = out.diagonal().sqrt()
    return out / (within[:, None] * within)
