"""Term: means stay ratios until the whole update is counted."""

from __future__ import annotations

import pytest
import torch

from speechunits.term import Term, add, loss


def term(num: float, den: int, weight: float = 1.0) -> Term:
    return Term(torch.tensor(num), torch.tensor(den), weight)


def test_value_is_the_mean_and_zero_where_nothing_was_counted():
    assert float(term(6.0, 4).value) == 1.5
    assert float(term(0.0, 0).value) == 0.0


def test_parts_add_up_to_the_mean_over_all_frames():
    """4 frames of mean 1 and 1 frame of mean 6: 2 per frame, not the mean of means 3.5."""
    both = add([{"ce": term(4.0, 4)}, {"ce": term(6.0, 1), "square": term(1.0, 1)}])
    assert float(both["ce"].value) == 2.0 and float(both["square"].value) == 1.0


def test_loss_weighs_means():
    terms = {"ce": term(6.0, 4), "penalty": term(1.0, 2, 10.0), "accuracy": term(3.0, 4, 0.0)}
    assert float(loss(terms)) == 1.5 + 5.0


def test_micro_batches_with_the_counts_of_the_update_give_the_gradient_of_the_whole():
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    whole = torch.autograd.grad(loss({"ce": Term(x.square().sum(), torch.tensor(5), 2.0)}), x)[0]
    counts = {"ce": torch.tensor(5)}
    parts = [{"ce": Term(part.square().sum(), torch.tensor(len(part)), 2.0)} for part in x.split([2, 3])]
    split = sum(torch.autograd.grad(loss(p, counts), x)[0] for p in parts)
    torch.testing.assert_close(split, whole, rtol=1e-14, atol=0)


def test_detach_cuts_the_graph():
    x = torch.ones((), requires_grad=True)
    cut = Term(x * 2, torch.tensor(1), 3.0).detach()
    assert not cut.num.requires_grad and cut.weight == 3.0


def test_terms_without_weight_cannot_be_trained():
    with pytest.raises(ValueError, match=r"accuracy.*nothing to train"):
        loss({"accuracy": term(1.0, 1, 0.0)})
