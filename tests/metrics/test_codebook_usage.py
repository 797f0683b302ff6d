from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.metrics.codebook_usage import CodebookUsage
from speechunits.seq import pad


def run(units: list[list[int]] | list[list[list[int]]], vocab: tuple[int, ...]) -> dict[str, float]:
    out = CodebookUsage(vocab=vocab)
    batch = {"ids": [f"u{i}" for i in range(len(units))]}
    out.update({"units": pad([torch.tensor(u) for u in units], Fraction(1, 50))}, batch)
    return out.compute()


def test_even_and_uneven() -> None:
    assert run([[0, 1, 2, 3], [0, 1]], (8,))["usage"] == 4 / 8
    assert run([[0, 0, 1, 1], [2, 2, 3, 3]], (8,))["perplexity"] == pytest.approx(4)
    # p = 1/2, 1/4, 1/4: entropy 1.5 bits
    assert run([[0, 0, 1, 2]], (3,))["perplexity"] == pytest.approx(2**1.5)


def test_codebooks_of_different_size() -> None:
    out = run([[[0, 0], [1, 0], [2, 1], [3, 1]]], (4, 8))
    assert (out["usage_1"], out["usage_2"], out["usage"]) == (1, 0.25, 0.625)
    assert out["perplexity"] == pytest.approx(3)


def test_ids_outside_the_codebook() -> None:
    with pytest.raises(ValueError, match=r"u1: unit 9 is outside the codebooks \(8,\)"):
        run([[0], [9]], (8,))
    with pytest.raises(ValueError, match="1 codebooks"):
        run([[0]], (8, 8))
