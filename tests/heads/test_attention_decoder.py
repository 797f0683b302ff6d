"""AttentionDecoder: what torch makes of the same weights, one symbol at a time as all at once, and nothing of the padding."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.heads.attention_decoder import AttentionDecoder
from speechunits.nn.learned_positions import LearnedPositions
from speechunits.seq import Seq, pad, unpad
from speechunits.term import loss

HOP, VOCAB, DIM = Fraction(1, 25), 5, 8


def make(**more: Any) -> AttentionDecoder:
    torch.manual_seed(0)
    made = AttentionDecoder(depth=2, ffn=16, heads=2, dim=DIM, vocab=(VOCAB,), **more).double().eval()
    for p in made.parameters():  # biases start at zero and would hide a wrong place
        nn.init.normal_(p, std=0.3)
    return made


def frames(*lengths: int) -> Seq:
    g = torch.Generator().manual_seed(sum(lengths))
    x = pad([torch.randn(n, DIM, dtype=torch.float64, generator=g) for n in lengths], HOP)
    x.data[~x.valid] = 1e3  # padding is never looked at
    return x


def text(*items: list[int]) -> Seq:
    return pad([torch.tensor(x, dtype=torch.int64) for x in items], None)


def test_is_torchs_decoder() -> None:
    head, x, said = make(), frames(9, 6, 4), text([0, 1, 1], [2], [])
    theirs = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(DIM, 2, 16, 0.0, batch_first=True, norm_first=True, dtype=torch.float64), 2,
        norm=nn.LayerNorm(DIM, dtype=torch.float64),
    ).eval()  # fmt: skip
    assert theirs.norm is not None
    theirs.norm.load_state_dict(head.norm.state_dict())
    for ours, layer in zip(head.layers, theirs.layers, strict=True):
        copy(ours, layer)
    entered = torch.tensor([[5, 0, 1, 1], [5, 2, 0, 0], [5, 0, 0, 0]])
    y = head.embedding(entered) * DIM**0.5 + head.positions(torch.empty(3, 4, DIM, dtype=torch.float64))
    hidden = torch.ones(4, 4, dtype=torch.bool).triu(1)
    want = theirs(y, x.data, tgt_mask=hidden, memory_key_padding_mask=~x.valid)
    want = F.linear(want, head.linear.weight, head.linear.bias).log_softmax(-1)
    torch.testing.assert_close(head.log_probs(x, said), want, rtol=0, atol=1e-12)


def copy(ours: Any, theirs: Any) -> None:
    """The weights of one layer into torch's."""
    for a, b in ((ours.said, theirs.self_attn), (ours.heard, theirs.multihead_attn)):
        packed = {"in_proj_weight": torch.cat([a.query.weight, a.memory.weight])}
        packed["in_proj_bias"] = torch.cat([a.query.bias, a.memory.bias])
        b.load_state_dict({**packed, **{f"out_proj.{k}": v for k, v in a.out.state_dict().items()}})
    pairs = {"said_norm": "norm1", "heard_norm": "norm2", "ffn_norm": "norm3", "up": "linear1", "down": "linear2"}
    for mine, name in pairs.items():
        getattr(theirs, name).load_state_dict(getattr(ours, mine).state_dict())


def test_loss_is_the_smoothed_cross_entropy_of_symbols_and_ends() -> None:
    head, x, said = make(smoothing=0.2), frames(9, 6, 4), text([0, 1, 1], [2], [])
    truth = torch.tensor([[0, 1, 1, 5], [2, 5, -1, -1], [5, -1, -1, -1]])
    scores = head.log_probs(x, said)
    want = F.cross_entropy(scores.flatten(0, 1), truth.flatten(), ignore_index=-1, label_smoothing=0.2, reduction="sum")
    terms = head(x, said)
    torch.testing.assert_close(terms["loss"].num, want, rtol=1e-12, atol=1e-12)
    assert int(terms["loss"].den) == 7 == int(head.counts(x.lengths, said)["loss"]) == int(terms["accuracy"].den)
    right = [(i, u) for i, n in enumerate((4, 2, 1)) for u in range(n) if scores[i, u].argmax() == truth[i, u]]
    assert int(terms["accuracy"].num) == len(right) and not terms["accuracy"].weight
    per_utterance = make(smoothing=0.2, per_utterance=True)
    assert int(per_utterance(x, said)["loss"].den) == 3 == int(per_utterance.counts(x.lengths, said)["loss"])
    torch.testing.assert_close(per_utterance(x, said)["loss"].num, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("positions", [None, partial(LearnedPositions, 3)])
def test_one_symbol_at_a_time_is_all_at_once(positions: Any) -> None:
    head = make() if positions is None else make(positions=positions)
    x, said = frames(9, 6, 4), text([0, 1, 1, 4], [2, 2, 0, 3], [1, 0, 4, 2])
    want, state, last = head.log_probs(x, said), head.begin(x), torch.full((3,), head.end)
    for u in range(5):
        scores, state = head.step(state, last)
        torch.testing.assert_close(scores, want[:, u], rtol=0, atol=1e-10)
        last = said.data[:, min(u, 3)]


def test_hypotheses_are_repeated_and_reordered() -> None:
    """Rows taken midway go on as texts of their own, with the frames of their own utterance, which are not copied."""
    head, x = make(), frames(9, 6)
    begun = head.begin(x)
    _, state = head.step(begun, torch.full((2,), head.end))
    _, state = head.step(state.take(torch.tensor([0, 0, 0, 1, 1, 1])), torch.tensor([0, 1, 2, 3, 4, 0]))
    _, state = head.step(state.take(torch.tensor([2, 0, 4, 4])), torch.tensor([0, 1, 2, 3]))
    scores, state = head.step(state.take(torch.tensor([1, 1, 3, 2])), torch.tensor([2, 4, 0, 1]))
    assert all(a is b for a, b in zip(state.heard, begun.heard, strict=True))
    for row, said in enumerate([[0, 1, 2], [0, 1, 4], [4, 3, 0], [4, 2, 1]]):
        utterance = row // 2
        alone = head.log_probs(pad([unpad(x)[utterance]], HOP), text(said))
        torch.testing.assert_close(scores[row], alone[0, 3], rtol=0, atol=1e-10)


def test_score_is_that_of_the_text_and_its_end() -> None:
    head, x, said = make(), frames(9, 6, 4), text([0, 1, 1], [2], [])
    scores = head.score(x, said)
    for row, (symbols, one) in enumerate(zip(unpad(said), unpad(x), strict=True)):
        ways = head.log_probs(pad([one], HOP), pad([symbols], None))[0]
        want = sum(ways[u, s] for u, s in enumerate([*symbols.tolist(), head.end]))
        torch.testing.assert_close(scores[row], torch.as_tensor(want), rtol=0, atol=1e-12)


@torch.no_grad()
def test_all_texts_of_all_lengths_have_probability_one() -> None:
    """Of two symbols and ends, up to a length: what is left is the probability of longer ones."""
    torch.manual_seed(0)
    head = AttentionDecoder(depth=1, ffn=8, heads=1, dim=4, vocab=(2,)).double().eval()
    state = head.begin(Seq(torch.randn(1, 3, 4).double(), torch.tensor([3]), HOP))
    ended, alive, last = torch.zeros(()).double(), torch.zeros(1).double(), torch.tensor([2])
    for _ in range(6):
        scores, state = head.step(state, last)
        both = alive[:, None] + scores
        ended = ended + both[:, 2].exp().sum()
        rows = torch.arange(len(last)).repeat_interleave(2)
        alive, last, state = both[:, :2].flatten(), torch.arange(2).repeat(len(last)), state.take(rows)
        left = alive.exp().sum()
        torch.testing.assert_close(ended + left, torch.ones(()).double())
    assert float(left) < 1


def test_a_batch_is_the_sum_of_its_utterances() -> None:
    head, x, said = make(), frames(12, 7, 9), text([0, 1, 1, 2], [2, 0], [1])
    whole = head(x, said)
    apart = [head(pad([a], HOP), pad([b], None)) for a, b in zip(unpad(x), unpad(said), strict=True)]
    for name, term in whole.items():
        torch.testing.assert_close(term.num, sum(t[name].num for t in apart), rtol=1e-12, atol=1e-12)
        assert int(term.den) == sum(int(t[name].den) for t in apart)
    weight = head.layers[0].heard.memory.weight
    grads = [torch.autograd.grad(n, weight)[0] for n in (whole["loss"].num, sum(t["loss"].num for t in apart))]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_every_parameter_learns_and_dropout_is_for_training() -> None:
    head, x, said = make(dropout=0.5, attention_dropout=0.5), frames(9, 6), text([0, 1, 3, 4], [2, 1])
    assert torch.equal(head.log_probs(x, said), head.log_probs(x, said))
    head.train()
    assert not torch.equal(head.log_probs(x, said), head.log_probs(x, said))
    loss(head(x, said)).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) and bool(p.grad.any()) for p in head.parameters())


def test_it_learns_a_text_by_heart() -> None:
    torch.manual_seed(0)
    head, x, said = (
        AttentionDecoder(1, 16, 2, 0.0, smoothing=0.0, dim=DIM, vocab=(VOCAB,)),
        frames(5),
        text([4, 4, 0, 1]),
    )
    x = x.to(torch.float32)
    optimizer = torch.optim.Adam(head.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss(head(x, said)).backward()
        optimizer.step()
    state, last, found = head.begin(x), torch.tensor([head.end]), []
    while (len(found) < 6 and int(last) != head.end) or not found:
        scores, state = head.step(state, last)
        last = scores.argmax(-1)
        found.append(int(last))
    assert found == [4, 4, 0, 1, head.end]


@pytest.mark.parametrize("per_utterance", [False, True])
def test_utterances_without_frames_are_counted_and_left_out(per_utterance: bool) -> None:
    """As by the heads that align text with frames."""
    head, said = make(per_utterance=per_utterance, dropout=0.0).train(), text([0, 1], [2])
    x = Seq(frames(5, 4).data, torch.tensor([5, 0]), HOP)
    terms, alone = head(x, said), head(pad([x.data[0]], HOP), text([0, 1]))
    assert head.possible(x.lengths, said).tolist() == [True, False]
    assert int(terms["loss"].den) == int(alone["loss"].den) == int(head.counts(x.lengths, said)["loss"])
    assert (int(terms["impossible"].num), int(terms["impossible"].den)) == (1, 2) and not terms["impossible"].weight
    assert int(terms["accuracy"].den) == 3
    torch.testing.assert_close(terms["loss"].num, alone["loss"].num)
    terms["loss"].num.backward()
    grads: list[Tensor] = [p.grad for p in head.parameters() if p.grad is not None]
    assert len(grads) > 9 and all(bool(g.isfinite().all()) for g in grads)
    none = head(Seq(x.data[:, :0], torch.tensor([0, 0]), HOP), said)
    assert (float(none["loss"].num.detach()), int(none["loss"].den), int(none["impossible"].num)) == (0.0, 0, 2)


def test_half_precision_is_summed_in_float32() -> None:
    head = make().to(torch.bfloat16)
    scores = head.log_probs(frames(4).to(torch.bfloat16), text([1]))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(1, 2))


def test_a_saved_one_comes_back(tmp_path: Path) -> None:
    node = {"_target_": "speechunits.heads.attention_decoder.AttentionDecoder", "depth": 1, "ffn": 8, "heads": 2}
    learned = {"_target_": "speechunits.nn.learned_positions.LearnedPositions", "places": 7}
    head = build({**node, "positions": learned}, dim=DIM, vocab=(VOCAB,)).eval()
    store.save(head, tmp_path / "head", kind="head")
    back, x = store.restore(tmp_path / "head", expect=AttentionDecoder).eval(), frames(4).to(torch.float32)
    assert torch.equal(back.log_probs(x, text([1, 2])), head.log_probs(x, text([1, 2])))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"vocab": (3, 3)}, "one stream"),
        ({"smoothing": 1.0}, "smoothing is 1.0"),
        ({"heads": 3}, "dim 8 does not divide into 3 heads"),
    ],
)
def test_mistakes(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AttentionDecoder(**{"dim": DIM, "vocab": (VOCAB,), **more})
