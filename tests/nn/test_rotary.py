"""Rotary positions against the paper's equation in complex numbers."""

from __future__ import annotations

import numpy as np
import torch

from speechunits.nn.rotary import rotary_angles, turn


def test_is_the_papers_rotation() -> None:
    """Su et al. 2021, eq. 12: pair i of a vector at frame m, as a complex number, times exp(i m theta_i)."""
    x = torch.randn(2, 3, 7, 8, dtype=torch.float64)
    turned = turn(x, *rotary_angles(7, 8, x)).numpy()
    pairs = x[..., :4].numpy() + 1j * x[..., 4:].numpy()
    theta = 10000.0 ** (-2 * np.arange(4) / 8)
    expected = pairs * np.exp(1j * np.arange(7)[:, None] * theta)
    np.testing.assert_allclose(turned, np.concatenate([expected.real, expected.imag], -1), rtol=0, atol=1e-12)


def test_products_depend_on_distance_alone() -> None:
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)
    angles = rotary_angles(100, 16, q)
    products = turn(q.expand(-1, -1, 100, -1), *angles)[0, 0] @ turn(k.expand(-1, -1, 100, -1), *angles)[0, 0].T
    for distance in (-40, 0, 3):
        along = products.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-12)
    assert products.diagonal(3)[0] != products.diagonal(-3)[0]


def test_type_of_the_input_is_kept_and_far_frames_stand_where_they_should() -> None:
    x = torch.randn(1, 1, 200_000, 4)
    cos, sin = rotary_angles(200_000, 4, x)
    assert cos.dtype == torch.float32 and turn(x.bfloat16(), cos, sin).dtype == torch.bfloat16
    np.testing.assert_allclose(cos[-1, 0], np.cos(199_999.0), atol=1e-6)
