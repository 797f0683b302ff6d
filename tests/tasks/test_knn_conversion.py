"""KNNConversion against brute force; memory that does not grow; prematching."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.seq import pad
from speechunits.tasks import knn_conversion
from speechunits.tasks.knn_conversion import KNNConversion, nearest, prematch


def brute(source: np.ndarray, pool: np.ndarray, k: int) -> np.ndarray:
    """Baas et al. 2023, section 3.2, frame by frame."""
    out = []
    for x in source:
        cosines = np.array([x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in pool])
        out.append(pool[np.argsort(-cosines)[:k]].mean(0))
    return np.stack(out)


@pytest.mark.parametrize("k", [1, 4, 23])
@pytest.mark.parametrize("sizes", [(1024, 4096), (3, 5), (7, 1)])
def test_brute_force_in_blocks_of_any_size(k: int, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn_conversion, "ROWS", sizes[0])
    monkeypatch.setattr(knn_conversion, "FRAMES", sizes[1])
    source, pool = torch.randn(10, 6, dtype=torch.float64), torch.randn(23, 6, dtype=torch.float64) * 3
    expected = brute(source.numpy(), pool.numpy(), k)
    np.testing.assert_allclose(KNNConversion(k)(source, pool).numpy(), expected, rtol=1e-10)


def test_the_largest_first() -> None:
    pool = torch.tensor([[0.0, 1.0], [1.0, 0.1], [5.0, 0.0], [-1.0, 0.0]])
    assert nearest(torch.tensor([[1.0, 0.0]]), pool, 3).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_interpolation_towards_the_source(share: float) -> None:
    source, pool = torch.randn(5, 4, dtype=torch.float64), torch.randn(9, 4, dtype=torch.float64)
    found = KNNConversion(2, share)(source, pool)
    torch.testing.assert_close(found, share * KNNConversion(2)(source, pool) + (1 - share) * source)


def test_utterances_alone_are_as_in_a_batch_and_half_precision_will_do() -> None:
    rows, pool = [torch.randn(6, 4), torch.randn(3, 4)], torch.randn(20, 4)
    convert = KNNConversion(3)
    out = convert.batch(pad(rows, None), pool)
    torch.testing.assert_close(out.data[0], convert(rows[0], pool))
    torch.testing.assert_close(out.data[1, :3], convert(rows[1], pool))
    assert not out.data[1, 3:].any()
    torch.testing.assert_close(convert(rows[0], pool.half()), convert(rows[0], pool.half().float()))
    assert convert(rows[0][:0], pool).shape == (0, 4)


def test_prematching_leaves_the_own_utterance_out() -> None:
    said = [torch.randn(n, 4, dtype=torch.float64) for n in (5, 3, 7)]
    made = list(prematch(said, KNNConversion(2)))
    for i, (own, found) in enumerate(zip(said, made, strict=True)):
        others = torch.cat([x for j, x in enumerate(said) if j != i])
        np.testing.assert_allclose(found.numpy(), brute(own.numpy(), others.numpy(), 2), rtol=1e-10)


def test_too_little_of_the_target() -> None:
    with pytest.raises(UserError, match="the target has 3 frames, fewer than k = 4"):
        KNNConversion()(torch.randn(2, 4), torch.randn(3, 4))
    with pytest.raises(UserError, match="the target has 0 frames"):
        list(prematch([torch.randn(9, 4)], KNNConversion()))
    for given in ({"k": 0}, {"interpolation": 1.5}):
        with pytest.raises(ValueError, match="give k from 1 and a share"):
            KNNConversion(**given)
