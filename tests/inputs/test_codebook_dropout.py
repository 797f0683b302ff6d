"""Codebooks left out: which and how often, by draws of the utterance alone; what of a fusion is then heard."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
import torch

from speechunits.draws import draws
from speechunits.inputs.attention_fusion import AttentionFusion
from speechunits.inputs.codebook_dropout import CodebookDropout
from speechunits.inputs.concat_fusion import ConcatFusion
from speechunits.inputs.sum_fusion import SumFusion
from speechunits.inputs.unit_input import UnitInput
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

HOP = Fraction(1, 50)
STREAMS = {"units": Stream(HOP, (5, 6, 7), "abc")}


def units(*lengths: int) -> Seq:
    random = torch.Generator().manual_seed(0)
    return pad([torch.stack([torch.randint(v, (n,), generator=random) for v in (5, 6, 7)], 1) for n in lengths], HOP)


def test_every_choice_that_leaves_one_is_drawn() -> None:
    """0, 1 or 2 of three, each number a third of the time, and each choice of that many equally often."""
    given, ids = units(*[4] * 3000), [str(i) for i in range(3000)]
    dropped = CodebookDropout()(given, (5, 6, 7), draws(ids, 1, 2))
    out = (dropped.data == -1).all(1)
    assert bool((dropped.data == given.data).logical_or(out[:, None]).all()), "what is left is as it was"
    found = Counter(tuple(row) for row in out.tolist())
    expected = {k: 3000 / 3 / (1 if sum(k) == 0 else 3) for k in found}
    assert len(found) == 7 and all(abs(found[k] - n) < 5 * n**0.5 for k, n in expected.items()), found


def test_batch_mates_change_nothing() -> None:
    made, given = CodebookDropout(), units(6, 9, 2)
    together = made(given, (5, 6, 7), draws(["a", "b", "c"], 1, 2))
    for i, (name, n) in enumerate(zip("abc", (6, 9, 2), strict=True)):
        one = Seq(given.data[i : i + 1, :n], given.lengths[i : i + 1], HOP)
        assert made(one, (5, 6, 7), draws([name], 1, 2)).data[0].equal(together.data[i, :n])
    assert bool((together.data[~together.valid] == -1).all())


@pytest.mark.parametrize("fusion", [SumFusion, ConcatFusion, AttentionFusion])
def test_what_is_left_out_is_not_heard(fusion: type) -> None:
    made, given = UnitInput(4, fusion=fusion, streams=STREAMS).double(), units(6, 3)
    part = given.data.clone()
    part[..., 1] = -1
    heard = made({"units": given.with_data(part)})
    vectors = [made.embeddings[k].weight[given.data[..., k].clamp(min=0)] for k in (0, 2)]
    if fusion is SumFusion:
        expected = vectors[0] + vectors[1]
    elif fusion is ConcatFusion:
        x = torch.cat([vectors[0], torch.zeros_like(vectors[0]), vectors[1]], -1)
        expected = made.fusion.linear(x)
    else:  # as one of two codebooks
        expected = made.fusion(torch.stack(vectors, 2))
    torch.testing.assert_close(heard.data, expected * given.valid[..., None])
    assert bool(heard.data.isfinite().all())


def test_in_training_alone_and_with_a_gradient() -> None:
    made = UnitInput(4, fusion=AttentionFusion, corruption=CodebookDropout(), streams=STREAMS)
    given = {"units": units(6, 3), "draws": draws(["a", "b"], 1, 2)}
    assert not made(given, given["draws"]).data.equal(made(given).data)
    made(given, given["draws"]).data.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in made.parameters() if p.grad is not None)
