"""HuBERT's scores: cos(A o, e) / tau, in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.heads.cosine import CosineHead
from speechunits.heads.linear import LinearHead


def test_scores_are_cosines_over_temperature():
    head = CosineHead(features=4, temperature=0.1, dim=6, vocab=(5, 3)).double()
    x = torch.randn(7, 6, dtype=torch.float64)
    weight, bias = (p.detach().numpy() for p in (head.projection.weight, head.projection.bias))
    for k, scores in enumerate(head(x)):
        a = x.numpy() @ weight[4 * k : 4 * k + 4].T + bias[4 * k : 4 * k + 4]
        e = head.codes[k].detach().numpy()
        cos = a @ e.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(e, axis=1)
        np.testing.assert_allclose(scores.detach().numpy(), cos / 0.1, rtol=0, atol=1e-12)
    assert [s.shape for s in head(x)] == [(7, 5), (7, 3)]


def test_a_frame_that_points_at_a_code_wins_it():
    head = CosineHead(features=3, dim=3, vocab=(4,))
    with torch.no_grad():
        head.projection.weight.copy_(torch.eye(3))
        head.projection.bias.zero_()
    scores = head(17.0 * head.codes[0].detach())[0]
    assert scores.argmax(-1).tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(scores.diagonal(), torch.full((4,), 10.0))


@pytest.mark.parametrize("head", [CosineHead, LinearHead])
@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_a_temperature_that_is_none(head: type, temperature: float):
    with pytest.raises(ValueError, match="give a number above 0"):
        head(temperature=temperature, dim=3, vocab=(4,))
