"""Transducer: every sum agrees, one symbol at a time is all at once, and nothing of the padding."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.heads.full_sum import FullSum, by_torchaudio
from speechunits.heads.pruned_sum import PrunedSum
from speechunits.heads.recurrent_predictor import RecurrentPredictor
from speechunits.heads.stateless_predictor import StatelessPredictor
from speechunits.heads.transducer import Transducer
from speechunits.nn import transducer_sum
from speechunits.seq import Seq, pad, unpad
from speechunits.term import loss

HOP, VOCAB, DIM = Fraction(1, 25), 5, 8
PREDICTORS = {"stateless": partial(StatelessPredictor, 4, 3), "recurrent": partial(RecurrentPredictor, 6, 2)}
SUMS = {"full": partial(FullSum), "pruned": partial(PrunedSum, 3, warm=0)}


def make(predictor: str = "stateless", sum: str = "full", **more: Any) -> Transducer:
    torch.manual_seed(0)
    parts = {"predictor": PREDICTORS[predictor], "loss": SUMS[sum], **more}
    return Transducer(dim_joint=6, **parts, dim=DIM, vocab=(VOCAB,)).double().eval()


def frames(*lengths: int) -> Seq:
    g = torch.Generator().manual_seed(sum(lengths))
    x = pad([torch.randn(n, DIM, dtype=torch.float64, generator=g) for n in lengths], HOP)
    x.data[~x.valid] = 1e3  # padding is never looked at
    return x


def text(*items: list[int]) -> Seq:
    return pad([torch.tensor(x, dtype=torch.int64) for x in items], None)


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_one_symbol_at_a_time_is_all_at_once(predictor: str) -> None:
    head, said = make(predictor), text([0, 1, 1, 4], [2, 0, 3, 3])
    want, state, last = head.joiner.said(head.predictor(said.data)), head.begin(2, "cpu"), torch.full((2,), head.blank)
    for u in range(5):
        out, state = head.advance(state, last)
        torch.testing.assert_close(out, want[:, u], rtol=0, atol=1e-12)
        last = said.data[:, min(u, 3)]


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_hypotheses_are_reordered_and_some_go_on(predictor: str) -> None:
    head = make(predictor)
    _, state = head.advance(head.begin(2, "cpu"), torch.tensor([5, 5]))
    _, state = head.advance(state.take(torch.tensor([1, 0, 1])), torch.tensor([3, 0, 4]))
    _, ahead = head.advance(state, torch.tensor([1, 1, 1]))
    mixed = ahead.where(torch.tensor([True, False, False]), state).take(torch.tensor([2, 0]))
    out, _ = head.advance(mixed, torch.tensor([2, 2]))
    for row, said in enumerate([[4, 2], [3, 1, 2]]):
        want = head.joiner.said(head.predictor(torch.tensor([said])))[0, -1]
        torch.testing.assert_close(out[row], want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_the_loss_is_that_of_the_steps_of_a_search(predictor: str) -> None:
    """The lattice filled by ``join``, summed by the reference."""
    head, x, said = make(predictor), frames(6), text([0, 1, 1])
    state, last, columns = head.begin(1, "cpu"), torch.tensor([head.blank]), []
    for u in range(4):
        out, state = head.advance(state, last)
        columns.append(head.join(head.listen(x.data[0]), out.expand(6, -1)))
        last = said.data[:, min(u, 2)]
    lattice = torch.stack(columns, 1)[None]
    torch.testing.assert_close(lattice.exp().sum(-1), torch.ones(1, 6, 4).double())
    want = transducer_sum.full(lattice, said, x.lengths)
    terms = head(x, said)
    torch.testing.assert_close(terms["loss"].num, want.sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by", ["torch", "torchaudio"])
def test_all_ways_agree_with_the_reference(by: str) -> None:
    """float32 against the float64 reference: nats to 1e-4, and the gradients of what goes in and of the weights."""
    exact = make()
    x, said = frames(30, 17, 5), text([0, 1, 1, 4, 2, 2, 3, 0], [2], [4, 0, 3, 1, 2, 0, 3])
    other = make(loss=partial(FullSum, by))
    other.load_state_dict(exact.state_dict())
    other = other.float()
    found = []
    for head, dtype in ((exact, torch.float64), (other, torch.float32)):
        y = x.with_data(x.data.to(dtype, copy=True).requires_grad_())
        nats = head.loss(y, head.predictor(said.data.clamp(min=0)), said, head.joiner)["loss"]
        loss(head(y, said)).backward()
        assert y.data.grad is not None and not y.data.grad[~y.valid].any()
        grads = [y.data.grad, *(p.grad for p in head.parameters())]
        found.append((nats.double(), [g.double() for g in grads if g is not None]))
    (nats, grads), (other_nats, other_grads) = found
    torch.testing.assert_close(other_nats, nats, rtol=1e-5, atol=1e-4)
    assert len(grads) == len(other_grads) == 1 + len(list(exact.parameters()))
    for a, b in zip(grads, other_grads, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-5)


def test_torchaudio_is_not_given_more_logits_than_it_can_count() -> None:
    """200 x 2148 x 5000 of them; on the meta device nothing is allocated."""
    head = Transducer(loss=partial(FullSum, "torchaudio"), dim_joint=6, dim=DIM, vocab=(4999,)).to("meta")
    x, said = Seq(torch.empty(1, 2148, DIM), torch.tensor([2148]), HOP), text([1] * 199)
    with pytest.raises(
        UserError, match=r"fewer than 2\^31 logits, and a batch has 2148000000; make batches shorter, or"
    ):
        head(x.to("meta"), said.to("meta"))
    assert [by_torchaudio("auto", n, True) for n in (2**31 - 1, 2**31)] == [True, False]
    assert not by_torchaudio("auto", 9, False) and not by_torchaudio("torch", 9, True)


def test_padding_that_no_utterance_needs() -> None:
    """Frames and symbols beyond the longest of the batch, as an encoder and a slice of a batch may leave them."""
    head, x, said = make().float(), frames(9, 6).to(torch.float32), text([0, 1, 1], [2])
    more = Seq(nn.functional.pad(x.data, (0, 0, 0, 3), value=7.0), x.lengths, HOP)
    longer = Seq(nn.functional.pad(said.data, (0, 2), value=-1), said.lengths, None)
    torch.testing.assert_close(head(more, longer)["loss"].num, head(x, said)["loss"].num)


def test_pruned_by_more_than_all_symbols_is_full() -> None:
    """Where the band is as wide as the text, whatever the simple joiner thinks."""
    full, pruned = make(), make(loss=partial(PrunedSum, 9, warm=0))
    pruned.load_state_dict({**pruned.state_dict(), **full.state_dict()})
    x, said = frames(9, 6, 3), text([0, 1, 1], [2], [4, 0, 3, 1, 2])
    wide, all_of_it = pruned(x, said), full(x, said)
    torch.testing.assert_close(wide["loss"].num, all_of_it["loss"].num, rtol=1e-12, atol=1e-12)
    weight = [h.joiner.heard.weight for h in (pruned, full)]
    grads = [torch.autograd.grad(t["loss"].num, w)[0] for t, w in zip((wide, all_of_it), weight, strict=True)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)
    narrow = make("stateless", "pruned")
    narrow.load_state_dict(pruned.state_dict())
    assert bool(narrow(x, said)["loss"].num > wide["loss"].num)  # fewer alignments are less likely


@pytest.mark.parametrize("sum", SUMS)
@pytest.mark.parametrize("predictor", PREDICTORS)
def test_a_batch_is_the_sum_of_its_utterances(predictor: str, sum: str) -> None:
    head, x, said = make(predictor, sum), frames(12, 7, 9, 3), text([0, 1, 1, 2], [2, 0], [1], [0, 1, 2, 3, 4])
    whole = head(x, said)
    apart = [head(pad([a], HOP), pad([b], None)) for a, b in zip(unpad(x), unpad(said), strict=True)]
    counts = head.counts(x.lengths, said)
    assert counts.keys() == whole.keys() - {"impossible"}
    for name, term in whole.items():
        torch.testing.assert_close(term.num, torch.stack([t[name].num for t in apart]).sum(0), rtol=1e-12, atol=1e-12)
        assert int(term.den) == torch.stack([t[name].den for t in apart]).sum() == int(counts.get(name, term.den))
    weight = head.joiner.heard.weight
    nums = (whole["loss"].num, torch.stack([t["loss"].num for t in apart]).sum())
    torch.testing.assert_close(*(torch.autograd.grad(n, weight)[0] for n in nums), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sum", SUMS)
@pytest.mark.parametrize("predictor", PREDICTORS)
def test_every_parameter_learns(predictor: str, sum: str) -> None:
    head = make(predictor, sum, dropout=0.1).train()
    loss(head(frames(9, 6), text([0, 1, 3, 4], [2, 1]))).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) and bool(p.grad.any()) for p in head.parameters())


@pytest.mark.parametrize("sum", [partial(FullSum), partial(PrunedSum, 3, warm=10)])
def test_it_learns_texts_by_heart(sum: partial[nn.Module]) -> None:
    """Said back by the likeliest symbol of each step, through what searches call."""
    torch.manual_seed(0)
    head = Transducer(partial(RecurrentPredictor, 12), 12, sum, dim=DIM, vocab=(VOCAB,))
    x, said = frames(5, 3).to(torch.float32), text([4, 4, 0, 1], [2])
    optimizer = torch.optim.Adam(head.parameters(), 0.03)
    for step in range(60):
        optimizer.zero_grad()
        loss(head(x, said)).backward()
        optimizer.step()
        if isinstance(head.loss, PrunedSum):
            head.loss.on_step(step + 1, head)
    for row, symbols in zip(unpad(x), unpad(said), strict=True):
        out, state = head.advance(head.begin(1, "cpu"), torch.tensor([head.blank]))
        found: list[int] = []
        for frame in head.listen(row):
            while (best := int(head.join(frame[None], out).argmax())) != head.blank and len(found) < 9:
                found.append(best)
                out, state = head.advance(state, torch.tensor([best]))
        assert found == symbols.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sum", SUMS)
def test_impossible_pairs_are_counted_and_left_out(sum: str, dtype: torch.dtype) -> None:
    """No frame at all, and, pruned to 3, more than 2 symbols per frame; fewer frames than symbols are none of it."""
    head, said = make("stateless", sum).to(dtype), text([0, 1, 1], [1] * 4, [0, 1], [], [1] * 5)
    x = Seq(torch.randn(5, 3, DIM, dtype=dtype), torch.tensor([2, 2, 0, 0, 2]), HOP)
    x.data.requires_grad_()
    possible = [True, True, False, False, sum == "full"]
    terms, counts = head(x, said), head.counts(x.lengths, said)
    assert head.possible(x.lengths, said).tolist() == possible
    assert all(int(count) == possible.count(True) == int(terms[name].den) for name, count in counts.items())
    assert int(terms["impossible"].num) == possible.count(False) and int(terms["impossible"].den) == 5
    assert not terms["impossible"].weight
    apart = [head(Seq(x.data[i : i + 1], x.lengths[i : i + 1], HOP), Seq(said.data[i : i + 1], said.lengths[i : i + 1], None))
             for i in range(5) if possible[i]]  # fmt: skip
    torch.testing.assert_close(terms["loss"].num, torch.stack([t["loss"].num for t in apart]).sum())
    loss(terms).backward()
    assert x.data.grad is not None and bool(x.data.grad.isfinite().all()) and not x.data.grad[2:4].any()
    assert all(bool(p.grad.isfinite().all()) for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("sum", SUMS)
def test_a_validation_without_gradient_is_the_same(sum: str) -> None:
    head, x, said = make("stateless", sum), frames(12, 7), text([0, 1, 1, 2], [2, 0])
    want = head(x, said)
    with torch.inference_mode():
        found = head(frames(12, 7), text([0, 1, 1, 2], [2, 0]))
    assert all(torch.equal(found[name].num, term.num) for name, term in want.items())


@pytest.mark.parametrize("sum", SUMS)
def test_batches_of_nothing(sum: str) -> None:
    head = make("stateless", sum)
    silent = head(frames(4, 2), text([], []))
    assert int(silent["loss"].den) == 2 and bool(silent["loss"].num > 0)
    empty = head(Seq(torch.zeros(2, 0, DIM).double(), torch.tensor([0, 0]), HOP), text([1], []))
    assert (float(empty["loss"].num.detach()), int(empty["loss"].den), int(empty["impossible"].num)) == (0.0, 0, 2)


def test_weights_of_the_pruned_loss_move_with_the_updates(tmp_path: Path) -> None:
    """icefall: simple from 1 to 0.5, pruned from 0.1 to 1 in the first updates; a resumed run goes on where it was."""
    pruned = {"_target_": "speechunits.heads.pruned_sum.PrunedSum", "warm": 10}
    node = {"_target_": "speechunits.heads.transducer.Transducer", "loss": pruned, "dim_joint": 6, "weight": 2.0}
    head = build(node, dim=DIM, vocab=(VOCAB,))
    assert head.loss.weights == {"loss": 0.1, "simple": 1.0}
    head.loss.on_step(5, head)
    assert head.loss.weights == pytest.approx({"loss": 0.55, "simple": 0.75})
    terms = head(frames(5).to(torch.float32), text([1, 2]))
    assert (terms["loss"].weight, terms["simple"].weight) == pytest.approx((1.1, 1.5))
    store.save(head, tmp_path / "head", kind="head")
    back = store.restore(tmp_path / "head", expect=Transducer)
    assert back.loss.weights == head.loss.weights
    back.loss.on_step(11, back)
    assert back.loss.weights == {"loss": 1.0, "simple": 0.5}


@pytest.mark.parametrize("predictor", ["stateless", "recurrent"])
def test_a_saved_one_comes_back(predictor: str, tmp_path: Path) -> None:
    part = {"_target_": f"speechunits.heads.{predictor}_predictor.{predictor.title()}Predictor", "dim": 8}
    node = {"_target_": "speechunits.heads.transducer.Transducer", "predictor": part, "dim_joint": 6}
    head = build(node, dim=DIM, vocab=(VOCAB,)).eval()
    store.save(head, tmp_path / "head", kind="head")
    back, x = store.restore(tmp_path / "head", expect=Transducer).eval(), frames(4).to(torch.float32)
    assert torch.equal(back(x, text([1, 2]))["loss"].num, head(x, text([1, 2]))["loss"].num)


@pytest.mark.parametrize("sum", SUMS)
def test_in_half_precision_the_sum_is_float32(sum: str) -> None:
    head, x = make("stateless", sum).to(torch.bfloat16), frames(4).to(torch.bfloat16)
    terms = head(x, text([1, 2]))
    assert terms["loss"].num.dtype == torch.float32 and bool(terms["loss"].num.isfinite())
    out, _ = head.advance(head.begin(1, "cpu"), torch.tensor([head.blank]))
    assert head.join(head.listen(x.data[0, :1]), out).dtype == torch.float32


def test_under_autocast_the_simple_sum_is_that_of_float32() -> None:
    """Of the same scores: the linear maps are of half precision there, the products of probabilities are not."""
    head, x, said = make("stateless", "pruned").float(), frames(40).to(torch.float32), text([0, 1, 1, 2, 4, 3, 0, 1, 2])
    with torch.autocast("cpu", torch.bfloat16):
        out = head.predictor(said.data)
        scores = [head.loss.heard(x.data).float(), head.loss.said(out).float()]
        found = head.loss(x, out, said, head.joiner)["simple"]
    want, _ = transducer_sum.smoothed(*(s.double() for s in scores), said, x.lengths, 0.0, 0.25)
    torch.testing.assert_close(found.double(), want, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Transducer(dim=DIM, vocab=(3, 3)), "one stream"),
        (lambda: FullSum("numpy"), "by is 'numpy'; there are: auto, torch, torchaudio, k2"),
        (lambda: PrunedSum(by="auto", dim=4, dim_said=4, vocab=(3,)), "by is 'auto'; there are: torch, k2"),
        (lambda: PrunedSum(1, dim=4, dim_said=4, vocab=(3,)), "no symbol could be said"),
        (lambda: StatelessPredictor(6, vocab=(3,)), "dim 6 does not divide"),
    ],
)
def test_mistakes(made: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made()
