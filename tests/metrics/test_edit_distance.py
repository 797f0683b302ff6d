from __future__ import annotations

import torch
import torchaudio

from speechunits.metrics.edit_distance import edit_distance, edit_distances


def test_against_torchaudio() -> None:
    generator = torch.Generator().manual_seed(1)
    sizes = torch.randint(0, 12, (40, 2), generator=generator).tolist()
    left = [torch.randint(0, 4, (n,), generator=generator) for n, _ in sizes]
    right = [torch.randint(0, 4, (m,), generator=generator) for _, m in sizes]
    want = [torchaudio.functional.edit_distance(a.tolist(), b.tolist()) for a, b in zip(left, right, strict=True)]
    assert edit_distance(left, right).tolist() == want
    assert edit_distance([], []).tolist() == []
    every = edit_distances(left[:5], right)
    assert every.shape == (5, 40) and every.diagonal().tolist() == want[:5]
    assert every[3].tolist() == edit_distance([left[3]] * 40, right).tolist()
