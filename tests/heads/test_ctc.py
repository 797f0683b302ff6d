"""CTC: the sum over alignments, what is impossible, and nothing of the padding."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from speechunits.heads.ctc import CTC
from speechunits.seq import Seq, pad, unpad

HOP = Fraction(1, 50)


def make(vocab: int = 3, dim: int = 5) -> CTC:
    torch.manual_seed(0)
    return CTC(dim=dim, vocab=(vocab,)).double()


def frames(*lengths: int, dim: int = 5) -> Seq:
    return pad([torch.randn(n, dim, dtype=torch.float64) for n in lengths], HOP)


def text(*items: list[int]) -> Seq:
    return pad([torch.tensor(x, dtype=torch.int64) for x in items], None)


def by_hand(logits: np.ndarray, said: list[int]) -> float:
    """Graves et al. 2006, eq. 2 and 3: over every path of T symbols and blanks that collapses to ``said``."""
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    blank, total = p.shape[1] - 1, 0.0
    for path in product(range(p.shape[1]), repeat=len(p)):
        runs = [s for s, before in zip(path, (None, *path), strict=False) if s != before]
        if [s for s in runs if s != blank] == said:
            total += np.prod(p[np.arange(len(p)), path])
    return -np.log(total)


@pytest.mark.parametrize("said", [[], [1], [0, 0], [2, 0, 1], [1, 1, 0]])
def test_the_sum_over_all_alignments(said: list[int]) -> None:
    head, x = make(), frames(5)
    terms = head(x, text(said))
    logits = (x.data[0] @ head.linear.weight.T + head.linear.bias).detach().numpy()
    assert float(terms["loss"].num.detach()) == pytest.approx(by_hand(logits, said), rel=1e-12)


def test_torch_with_its_blank_elsewhere() -> None:
    """The same loss from torch with the blank as symbol 0, summed over the utterances that are possible."""
    head, x, said = make(), frames(9, 6, 4), text([0, 1, 1], [2], [1, 0])
    logits = head.linear(x.data)
    moved = torch.cat([logits[..., 3:], logits[..., :3]], -1).log_softmax(-1).transpose(0, 1)
    want = F.ctc_loss(moved, said.data + 1, x.lengths, said.lengths, blank=0, reduction="sum")
    terms = head(x, said)
    torch.testing.assert_close(terms["loss"].num, want, rtol=1e-12, atol=1e-12)
    assert int(terms["loss"].den) == 3 == int(head.counts(x.lengths, said)["loss"])


def test_impossible_pairs_are_counted_and_left_out() -> None:
    """Two equal symbols need three frames; no frame suffices for nothing."""
    head, x, said = make(), frames(2, 3, 4, 0), text([1, 1], [1, 1], [0, 1, 2, 0, 1], [])
    x.data.requires_grad_()
    terms, counts = head(x, said), head.counts(x.lengths, said)
    assert head.possible(x.lengths, said).tolist() == [False, True, False, False]
    assert (int(counts["loss"]), int(terms["loss"].den)) == (1, 1)
    assert (int(terms["impossible"].num), int(terms["impossible"].den)) == (3, 4) and not terms["impossible"].weight
    alone = head(Seq(x.data[1:2, :3], x.lengths[1:2], HOP), text([1, 1]))
    torch.testing.assert_close(terms["loss"].num, alone["loss"].num)
    terms["loss"].num.backward()
    assert x.data.grad.isfinite().all() and not x.data.grad[[0, 2, 3]].any() and x.data.grad[1, :3].any()


def test_a_batch_is_the_sum_of_its_utterances() -> None:
    head, x, said = make(), frames(12, 7, 9), text([0, 1, 1, 2], [2, 0], [1])
    x.data[~x.valid] = 1e3  # padding is never looked at
    whole = head(x, said)["loss"]
    apart = [head(pad([a], HOP), pad([b], None))["loss"] for a, b in zip(unpad(x), unpad(said), strict=True)]
    torch.testing.assert_close(whole.num, sum(t.num for t in apart), rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad(n, head.linear.weight)[0] for n in (whole.num, sum(t.num for t in apart))]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_a_batch_in_which_nothing_is_said() -> None:
    head, x = make(), frames(4, 2)
    terms = head(x, text([], []))
    blank = head.scores(x).data[..., 3]
    torch.testing.assert_close(terms["loss"].num, -(blank[0].sum() + blank[1, :2].sum()))


def test_a_batch_in_which_nothing_is_heard() -> None:
    head, said = make(), text([1], [])
    x = Seq(torch.zeros(2, 0, 5, dtype=torch.float64, requires_grad=True), torch.tensor([0, 0]), HOP)
    terms = head(x, said)
    assert (float(terms["loss"].num.detach()), int(terms["loss"].den), int(terms["impossible"].num)) == (0.0, 0, 2)
    terms["loss"].num.backward()
    assert not head.linear.weight.grad.any() and int(head.counts(x.lengths, said)["loss"]) == 0


def test_half_precision_is_summed_in_float32() -> None:
    head = make().to(torch.bfloat16)
    scores = head.scores(frames(4).to(torch.bfloat16))
    assert scores.data.dtype == torch.float32
    torch.testing.assert_close(scores.data.exp().sum(-1), torch.ones(1, 4))


def test_one_stream_of_text() -> None:
    with pytest.raises(ValueError, match="one stream"):
        CTC(dim=4, vocab=(3, 3))
