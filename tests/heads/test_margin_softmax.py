"""MarginSoftmax against numpy written from both papers' equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from speechunits.errors import UserError
from speechunits.heads.margin_softmax import MarginSoftmax
from speechunits.text.names import Names

NAMES = ["ann", "bo", "cy", "di"]
SAID = ["cy", "ann", "cy"]


def loss(**given: Any) -> MarginSoftmax:
    return MarginSoftmax(Names(NAMES), dim=6, **given).double()


def vectors(views: int = 2) -> torch.Tensor:
    return F.normalize(torch.randn(views, 3, 6, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("on", ["cosine", "angle"])
def test_the_papers_equation(on: str) -> None:
    head, x, (m, s) = loss(added_to=on, margin=0.3, scale=12.0), vectors(), (0.3, 12.0)
    classes = head.classes.detach().numpy()
    total = 0.0
    for view in x.numpy():
        for vector, name in zip(view, SAID, strict=True):
            angles = np.arccos(classes @ vector / np.linalg.norm(classes, axis=1))
            own = NAMES.index(name)
            moved = np.cos(angles[own] + m) if on == "angle" else np.cos(angles[own]) - m
            rest = sum(np.exp(s * np.cos(a)) for i, a in enumerate(angles) if i != own)
            total -= np.log(np.exp(s * moved) / (np.exp(s * moved) + rest))
    terms = head(x, SAID)
    assert terms["loss"].num.item() == pytest.approx(total, rel=1e-9)
    assert int(terms["loss"].den) == int(head.counts(2, SAID)["loss"]) == 6


def test_without_a_margin_it_is_softmax_over_cosines() -> None:
    x = vectors(1)
    found = [seeded(on)(x, SAID)["loss"].num.item() for on in ("cosine", "angle")]
    head = seeded("angle")
    scores = 30 * x[0] @ F.normalize(head.classes, dim=-1).T
    expected = F.cross_entropy(scores, torch.tensor([2, 0, 2]), reduction="sum")
    assert found == pytest.approx([expected.item()] * 2, rel=1e-9)


def seeded(on: Any) -> MarginSoftmax:
    torch.manual_seed(3)
    return loss(added_to=on, margin=0.0)


def test_an_angle_beyond_the_turning_point_still_costs_more() -> None:
    head = loss(margin=0.5)
    cosines = torch.cos(torch.linspace(0.01, math.pi - 0.01, 200, dtype=torch.float64))
    smaller = head.smaller(cosines)
    assert bool((smaller.diff() < 0).all()) and bool((smaller < cosines).all())


def test_gradients_also_where_a_vector_is_its_class() -> None:
    head, x = loss(), vectors().requires_grad_()
    x.data[0, 0] = F.normalize(head.classes.data[2], dim=-1)
    head(x, SAID)["loss"].num.backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())
    assert head.classes.grad is not None and bool(head.classes.grad.ne(0).any(1).all())


def test_accuracy_is_shown_without_the_margin() -> None:
    head = loss(margin=1.0)
    x = F.normalize(head.classes.detach()[[2, 0, 1]], dim=-1)[None]
    accuracy = head(x, SAID)["accuracy"]
    assert (int(accuracy.num), int(accuracy.den), accuracy.weight) == (2, 3, 0.0)


def test_a_speaker_without_a_class_is_named() -> None:
    with pytest.raises(UserError, match=r"'eve'.*ann, bo, cy, di"):
        loss()(vectors(), ["ann", "eve", "bo"])


@pytest.mark.parametrize("given", [{"margin": -0.1}, {"margin": 1.6}, {"scale": 0.0}])
def test_numbers_that_are_none(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give a margin from 0"):
        loss(**given)
