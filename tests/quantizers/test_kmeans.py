"""KMeans: the nearest centroid by brute force, padding, and codes that do not depend on the batch."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.quantizers.kmeans import BLOCK, KMeans, nearest
from speechunits.seq import Seq, pad


def fitted(size: int = 23, dim: int = 17) -> KMeans:
    kmeans = KMeans(size, dim=dim)
    kmeans.centroids.copy_(torch.randn(size, dim, generator=torch.Generator().manual_seed(1)))
    return kmeans


def items(lengths: list[int], dim: int = 17) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(2)
    return [torch.randn(n, dim, generator=draws) for n in lengths]


def test_codes_by_hand() -> None:
    kmeans = KMeans(3, dim=2)
    kmeans.centroids.copy_(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]))
    x = Seq(torch.tensor([[[1.0, 1.0], [9.0, 3.0], [2.0, 8.0]], [[6.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]),
            torch.tensor([3, 1]), Fraction(1, 50))  # fmt: skip
    vectors, codes, aux = kmeans(x)
    assert codes.tolist() == [[[0], [1], [2]], [[1], [-1], [-1]]]
    assert codes.dtype == torch.int64 and aux == {}
    assert vectors.shape == (2, 3, 1, 2)
    assert vectors[:, :, 0].tolist() == [[[0, 0], [10, 0], [0, 10]], [[10, 0], [0, 0], [0, 0]]]
    units = kmeans.codes(x)
    assert torch.equal(units.data, codes[..., 0]) and units.hop == x.hop
    assert kmeans.vocab == (3,)
    assert list(kmeans.state_dict()) == ["centroids"] and not list(kmeans.parameters())


@pytest.mark.parametrize("frames", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 3])
def test_nearest_equals_brute_force(frames: int) -> None:
    kmeans = fitted()
    x = items([frames])[0]
    distances = (x[:, None].double() - kmeans.centroids.double()).pow(2).sum(2)
    codes, found = nearest(x, kmeans.centroids)
    assert torch.equal(codes, distances.argmin(1))
    torch.testing.assert_close(found.double(), distances.min(1).values, rtol=1e-5, atol=1e-4)


def test_batching_changes_no_bit() -> None:
    """The same frame alone, in an utterance, in a batch, at another place of a block: the same distance to the bit."""
    centroids = torch.randn(500, 256, generator=torch.Generator().manual_seed(3))
    several = items([1, 700, 40, 513, 3], 256)
    together = nearest(torch.cat(several), centroids)
    apart = [nearest(x, centroids) for x in several]
    assert torch.equal(together[0], torch.cat([codes for codes, _ in apart]))
    assert torch.equal(together[1], torch.cat([found for _, found in apart]))

    kmeans = KMeans(500, dim=256)
    kmeans.centroids.copy_(centroids)
    batch = kmeans.codes(pad(several, Fraction(1, 50))).data
    for row, x in zip(batch, several, strict=True):
        assert torch.equal(row[: len(x)], kmeans.codes(pad([x], Fraction(1, 50))).data[0])
        assert (row[len(x) :] == -1).all()


def test_autocast_keeps_float32() -> None:
    kmeans, x = fitted(size=400), pad(items([600]), Fraction(1, 50))
    plain = kmeans.codes(x).data
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(kmeans.codes(x).data, plain)
    # the guard matters: the same products in bfloat16 give other codes
    half = torch.cdist(x.data[0].bfloat16().float(), kmeans.centroids.bfloat16().float()).argmin(1)
    assert not torch.equal(half, plain[0])


def test_wrong_feature_size_is_named() -> None:
    with pytest.raises(ValueError, match=r"size 17.*\(1, 4, 5\)"):
        fitted().codes(pad([torch.zeros(4, 5)], None))
