"""SupervisedContrastive against numpy written from equation 2 of Khosla et al. 2020."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from speechunits.heads.supervised_contrastive import SupervisedContrastive


def vectors(views: int, utterances: int) -> torch.Tensor:
    return F.normalize(torch.randn(views, utterances, 5, dtype=torch.float64), dim=-1)


def equation(x: np.ndarray, names: list[str], temperature: float) -> tuple[float, int]:
    """Sum over anchors with a partner, and how many those are."""
    total, count = 0.0, 0
    for i in range(len(x)):
        others = [a for a in range(len(x)) if a != i]
        partners = [p for p in others if names[p] == names[i]]
        below = sum(np.exp(x[i] @ x[a] / temperature) for a in others)
        total += sum(-np.log(np.exp(x[i] @ x[p] / temperature) / below) for p in partners) / max(1, len(partners))
        count += bool(partners)
    return total, count


@pytest.mark.parametrize(("views", "names"), [(2, ["a", "b", "a", "c"]), (1, ["a", "b", "a", "c"]), (3, ["a", "b"])])
def test_the_papers_equation(views: int, names: list[str]) -> None:
    loss, x = SupervisedContrastive(temperature=0.2), vectors(views, len(names))
    expected, count = equation(x.flatten(0, 1).numpy(), names * views, 0.2)
    term = loss(x, names)["loss"]
    assert term.num.item() == pytest.approx(expected, rel=1e-9)
    assert int(term.den) == count == int(loss.counts(views, names)["loss"])


def test_nobody_to_compare_with_costs_nothing() -> None:
    x = vectors(1, 2).requires_grad_()
    term = SupervisedContrastive()(x, ["a", "b"])["loss"]
    term.num.backward()
    assert term.num.item() == 0 and int(term.den) == 0 and x.grad is not None and not x.grad.any()
    alone = vectors(1, 1).requires_grad_()
    SupervisedContrastive()(alone, ["a"])["loss"].num.backward()
    assert alone.grad is not None and not alone.grad.any()


def test_it_draws_views_together_and_strangers_apart() -> None:
    x = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    loss, names = SupervisedContrastive(), list("abcdef")
    optimizer = torch.optim.Adam([x], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss(F.normalize(x, dim=-1), names)["loss"].value.backward()
        optimizer.step()
    views = F.normalize(x.detach(), dim=-1)
    cosines = views[0] @ views[1].T
    assert float((cosines - 2 * torch.eye(6)).max()) < 0.9 < float(cosines.diagonal().min())


def test_it_says_that_it_couples_a_batch() -> None:
    assert SupervisedContrastive.batch_statistics
    with pytest.raises(ValueError, match="give a number above 0"):
        SupervisedContrastive(temperature=0)
