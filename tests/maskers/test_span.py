"""SpanMasker: what is drawn is what is replaced, whatever the batch."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.draws import draws
from speechunits.maskers.span import SpanMasker
from speechunits.seq import Seq

HOP = Fraction(1, 50)


def frames(*lengths: int, dim: int = 6) -> Seq:
    return Seq(torch.randn(len(lengths), max(lengths), dim), torch.tensor(lengths), HOP)


def test_hidden_frames_become_the_vector_and_the_others_stay():
    masker, x = SpanMasker(dim=6), frames(80, 50)
    seen, masked, aux = masker(x, draws(["a", "b"]))
    assert masked.any() and aux == {}
    assert torch.equal(seen.data[masked], masker.vector.expand(int(masked.sum()), 6))
    assert torch.equal(seen.data[~masked], x.data[~masked])
    assert not (masked & ~x.valid).any()


def test_draw_before_the_pass_is_the_mask_of_the_pass():
    masker, x, d = SpanMasker(dim=6), frames(80, 50), draws(["a", "b"])
    before = masker.draw(x.lengths, 80, d)
    assert torch.equal(before, masker(x, d)[1])
    assert torch.equal(before, masker(x, draws(["a", "b"]))[1])  # and without the memory of the first


def test_the_mask_of_an_utterance_ignores_its_batch():
    masker = SpanMasker(dim=6)
    alone = masker.draw(torch.tensor([50]), 50, draws(["b"]))[0]
    batch = masker.draw(torch.tensor([80, 50, 64]), 80, draws(["a", "b", "c"]))
    order = masker.draw(torch.tensor([50, 80]), 80, draws(["b", "a"]))
    assert torch.equal(batch[1, :50], alone) and torch.equal(order[0, :50], alone)
    assert not batch[1, 50:].any()


def test_epochs_purposes_and_maskers_draw_anew():
    masker, lengths = SpanMasker(dim=6), torch.tensor([200])
    one = masker.draw(lengths, 200, draws(["a"]))
    assert not torch.equal(one, masker.draw(lengths, 200, draws(["a"], epoch=1)))
    assert not torch.equal(one, masker.draw(lengths, 200, draws(["a"]), "mask:1"))
    d = draws(["a"])
    short = SpanMasker(length=2, dim=6).draw(lengths, 200, d)
    assert not torch.equal(short, masker.draw(lengths, 200, d))  # one batch's memory serves two maskers apart


def test_channels_are_zeroed_for_a_whole_utterance():
    masker = SpanMasker(share=0.0, minimum=0, channel_share=0.5, channel_length=4, dim=64)
    x = frames(30, 20, dim=64)
    seen, masked, _ = masker(x, draws(["a", "b"]))
    assert not masked.any()
    gone = (seen.data == 0).all(1)  # (B, D)
    assert torch.equal(seen.data, x.data * ~gone[:, None, :])
    assert not torch.equal(gone[0], gone[1])
    assert 0.2 < gone.float().mean() < 0.6
    assert torch.equal(gone, (masker(x, draws(["a", "b"]))[0].data == 0).all(1))


def test_the_gradient_reaches_the_vector_from_hidden_frames_only():
    masker, x = SpanMasker(dim=6), frames(40)
    x.data.requires_grad_()
    seen, masked, _ = masker(x, draws(["a"]))
    seen.data.sum().backward()
    assert torch.equal(masker.vector.grad, torch.full((6,), float(masked.sum())))
    assert torch.equal(x.data.grad, (~masked)[..., None].expand(1, 40, 6).float())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_of_the_features_is_kept(dtype: torch.dtype):
    x = frames(40)
    assert SpanMasker(dim=6)(x.with_data(x.data.to(dtype)), draws(["a"]))[0].data.dtype == dtype
