"""Masked prediction against the equations of HuBERT (Hsu et al. 2021), written out in numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from speechunits.encoder import Frames, Pass
from speechunits.encoders.hidden import Hidden
from speechunits.heads.cosine import CosineHead
from speechunits.heads.linear import LinearHead
from speechunits.objectives.masked_prediction import MaskedPrediction
from speechunits.objectives.passes import Passes
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.targets.stored import StoredUnits

HOP, DIM = Fraction(1, 50), 6


def make(head: Any, vocab: tuple[int, ...] = (5,), hop: Fraction = HOP, **arguments: Any) -> MaskedPrediction:
    streams = {"units": Stream(hop, vocab, "x")}
    return MaskedPrediction(StoredUnits, head, **arguments, dim=DIM, hop=HOP, streams=streams).double()


def look(lengths: Sequence[int] = (9, 6), seed: int = 0, layers: int = 2) -> Pass:
    """A pass with random layers, of which ``final`` is the last."""
    rng = torch.Generator().manual_seed(seed)
    sizes, width = torch.tensor(lengths), max(lengths)
    data = [torch.randn(len(lengths), width, DIM, generator=rng, dtype=torch.float64) for _ in range(layers)]
    for layer in data:
        layer.requires_grad_()
    valid = torch.arange(width) < sizes[:, None]
    masked = (torch.rand(len(lengths), width, generator=rng) < 0.5) & valid
    final = Seq(data[-1], sizes, HOP)
    return Pass(final, final, Frames(valid, masked, HOP), Hidden(tuple(data), final))


def units(view: Pass, vocab: tuple[int, ...] = (5,)) -> dict[str, Seq]:
    valid = view.frames.valid
    codes = torch.stack([torch.randint(v, valid.shape) for v in vocab], -1).masked_fill(~valid[..., None], -1)
    return {"units": Seq(codes if len(vocab) > 1 else codes[..., 0], valid.sum(1), HOP)}


def paper(head: CosineHead, answer: Tensor, codes: Tensor, where: Tensor) -> tuple[float, int]:
    """Eq. 1: L = sum over t in M of -log p(z_t | X, t); eq. 3: p(c) = softmax over c of cos(A o_t, e_c) / tau."""
    a, b = head.projection.weight.detach().numpy(), head.projection.bias.detach().numpy()
    e, total, hits = head.codes[0].detach().numpy(), 0.0, 0
    for i, t in zip(*np.nonzero(where.numpy()), strict=True):
        o = a @ answer.detach().numpy()[i, t] + b
        scores = np.array([o @ c / np.linalg.norm(o) / np.linalg.norm(c) for c in e]) / head.temperature
        z = int(codes[i, t])
        total -= scores[z] - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
        hits += int(scores.argmax() == z)
    return total, hits


def test_loss_and_accuracy_are_the_papers():
    objective, view = make(partial(CosineHead, 4, 0.1)), look()
    batch = units(view)
    terms = objective(Passes([view]), batch)
    total, hits = paper(objective.head, view.hidden.final.data, batch["units"].data, view.frames.masked)
    assert float(terms["ce"].num.detach()) == pytest.approx(total, rel=1e-12)
    assert int(terms["accuracy"].num) == hits and terms["accuracy"].weight == 0.0
    assert int(terms["ce"].den) == int(view.frames.masked.sum()) and terms["ce"].weight == 1.0


def test_unmasked_frames_are_a_term_of_their_own():
    """Eq. 2: alpha L_m + (1 - alpha) L_u."""
    objective, view = make(partial(CosineHead, 4, 0.1), weight=0.7, unmasked_weight=0.3), look()
    batch = units(view)
    terms = objective(Passes([view]), batch)
    shown = view.frames.valid & ~view.frames.masked
    total, hits = paper(objective.head, view.hidden.final.data, batch["units"].data, shown)
    assert float(terms["unmasked_ce"].num.detach()) == pytest.approx(total, rel=1e-12)
    assert int(terms["unmasked_accuracy"].num) == hits and int(terms["unmasked_ce"].den) == int(shown.sum())
    assert (terms["ce"].weight, terms["unmasked_ce"].weight) == (0.7, 0.3)


@pytest.mark.parametrize("which", ["masked", "unmasked", "all"])
def test_which_frames_are_scored_and_where_the_gradient_goes(which: str):
    objective, view = make(LinearHead, frames=which), look()
    objective(Passes([view]), units(view))["ce"].num.backward()
    reached = view.hidden.final.data.grad.abs().sum(-1) > 0
    valid, masked = view.frames.valid, view.frames.masked
    assert torch.equal(reached, {"masked": masked, "unmasked": valid & ~masked, "all": valid}[which])


def test_an_intermediate_layer_is_read():
    objective, view = make(LinearHead, read="layer:0"), look()
    objective(Passes([view]), units(view))["ce"].num.backward()
    assert view.hidden.layers[0].grad is not None and view.hidden.layers[1].grad is None


def test_labels_at_twice_the_rate_are_every_second_one():
    view = look((9, 6))
    batch = units(view)
    twice = batch["units"].data.repeat_interleave(2, 1)
    twice[:, 1::2] = 4 - twice[:, 1::2].clamp(min=0)  # what lies between must not matter
    fast = {"units": Seq(twice, batch["units"].lengths * 2, Fraction(1, 100))}
    slow_objective, fast_objective = make(LinearHead), make(LinearHead, hop=Fraction(1, 100))
    fast_objective.load_state_dict(slow_objective.state_dict())
    a, b = slow_objective(Passes([view]), batch)["ce"], fast_objective(Passes([view]), fast)["ce"]
    assert torch.equal(a.num, b.num) and torch.equal(a.den, b.den)


def test_frames_without_a_label_are_left_out():
    """fairseq trims features to the labels there are."""
    objective, view = make(LinearHead, frames="all"), look((9, 6))
    codes = units(view)["units"]
    short = {"units": Seq(codes.data[:, :7], codes.lengths.clamp(max=7), HOP)}
    assert int(objective(Passes([view]), short)["ce"].den) == 7 + 6
    assert int(objective.counts([view.frames], short)["ce"]) == 13


def test_codebooks_are_averaged():
    """Two codebooks: the mean of the two cross-entropies, each of its own slice of the head."""
    objective, view = make(LinearHead, vocab=(5, 3)), look()
    batch = units(view, (5, 3))
    term = objective(Passes([view]), batch)["ce"]
    where, scores = view.frames.masked, objective.head(view.hidden.final.data)
    truth = batch["units"].data[where]
    a, b = (torch.nn.functional.cross_entropy(s[where], truth[:, k]) for k, s in enumerate(scores))
    torch.testing.assert_close(term.value, (a + b) / 2, rtol=1e-12, atol=0)
    assert int(term.den) == 2 * int(where.sum())


@pytest.mark.parametrize("frames", ["all", "unmasked"])
def test_unmasked_frames_are_not_scored_twice(frames: str):
    with pytest.raises(ValueError, match=f"frames is {frames}: delete one of the two"):
        make(LinearHead, frames=frames, unmasked_weight=0.5)


def test_views_are_summed():
    objective, views = make(LinearHead), [look(seed=0), look(seed=1)]
    batch = units(views[0])
    both = objective(Passes(views), batch)["ce"]
    single = [objective(Passes([v]), batch)["ce"] for v in views]
    torch.testing.assert_close(both.num, single[0].num + single[1].num, rtol=1e-12, atol=0)
    assert int(both.den) == sum(int(t.den) for t in single)
    assert int(objective.counts([v.frames for v in views], batch)["ce"]) == int(both.den)


def test_nothing_to_score_is_a_zero_that_can_be_trained():
    objective, view = make(partial(CosineHead, 4)), look()
    view.frames.masked.zero_()
    term = objective(Passes([view]), units(view))["ce"]
    term.value.backward()
    assert float(term.value.detach()) == 0.0 and int(term.den) == 0
    assert all(p.grad is not None and not p.grad.any() for p in objective.parameters())


def test_scores_of_low_precision_are_summed_in_float32():
    objective, view = make(LinearHead).to(torch.bfloat16), look()
    half = Seq(view.hidden.final.data.to(torch.bfloat16), view.hidden.final.lengths, HOP)
    low = Pass(half, half, view.frames, Hidden((half.data,), half))
    assert objective(Passes([low]), units(view))["ce"].num.dtype == torch.float32


def test_predicted_codes():
    objective, view = make(LinearHead, vocab=(5, 3)), look()
    codes = objective.predict(view)
    scores = objective.head(view.hidden.final.data)
    assert codes.data.shape == (2, 9, 2) and codes.hop == HOP
    assert torch.equal(codes.data[0], torch.stack([s[0].argmax(-1) for s in scores], -1))
    assert (codes.data[1, 6:] == -1).all()


def test_perplexities_are_those_of_the_last_update() -> None:
    objective, view = make(LinearHead, (5, 3)), look((40, 30))
    batch = units(view, (5, 3))
    objective.on_step(1, objective)
    nothing = {"target_perplexity": math.nan, "answer_perplexity": math.nan}
    assert objective.figures() == pytest.approx(nothing, nan_ok=True)  # nothing scored: nothing known
    for kept in (False, True):
        objective(Passes([view]), batch)
        objective(Passes([view]), batch)  # two micro-batches
        objective.on_step(2, objective) if kept else objective.forget()
    where = view.frames.masked
    answers = [s.argmax(-1).numpy() for s in objective.head(view.read("final").data[where])]
    truths = [batch["units"].data[where][:, k].numpy() for k in range(2)]

    def perplexity(columns: Sequence[Any]) -> float:
        shares = [np.unique(c, return_counts=True)[1] / len(c) for c in columns]
        return float(np.mean([2 ** -(p * np.log2(p)).sum() for p in shares]))

    expected = {"target_perplexity": perplexity(truths), "answer_perplexity": perplexity(answers)}
    assert objective.figures() == pytest.approx(expected, rel=1e-9)
    assert objective.figures() == pytest.approx(expected, rel=1e-9)  # asking changes nothing
    objective.eval()(Passes([view]), batch)
    objective.on_step(3, objective)
    assert math.isnan(objective.figures()["target_perplexity"])  # validation is not counted
