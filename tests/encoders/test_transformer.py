"""The transformer encoder: what its layers are, and that batching changes none of them."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import pairwise

import pytest
import torch

from speechunits.encoders.transformer import TransformerEncoder
from speechunits.nn.positions import ConvPositions
from speechunits.nn.relative_positions import GatedRelativePositions
from speechunits.seq import Seq, pad, unpad

HOP = Fraction(1, 50)


def make(norm_first: bool = False, **arguments) -> TransformerEncoder:
    positions = partial(ConvPositions, 16, 2)
    settings = {"depth": 3, "dim": 16, "ffn": 32, "heads": 2, "dropout": 0.0, "attention_dropout": 0.0, **arguments}
    return TransformerEncoder(norm_first=norm_first, positions=positions, **settings).double()


def frames(*lengths: int) -> Seq:
    return pad([torch.randn(n, 16, dtype=torch.float64) for n in lengths], HOP)


@pytest.mark.parametrize("relative", [None, partial(GatedRelativePositions, 8, 20)], ids=["absolute", "relative"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_batching_changes_no_layer(norm_first: bool, train: bool, relative):
    encoder, x = make(norm_first, relative=relative).train(train), frames(40, 17, 3)
    x = x.with_data(torch.where(x.valid[..., None], x.data, torch.randn_like(x.data)))  # whatever the padding holds
    batch = encoder(x)
    for i, item in enumerate(unpad(x)):
        alone = encoder(pad([item], HOP))
        for a, b in zip(batch.layers, alone.layers, strict=True):
            torch.testing.assert_close(a[i, : len(item)], b[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm_first", [False, True])
def test_stopping_early_gives_the_layers_of_the_full_run(norm_first: bool):
    encoder, x = make(norm_first).eval(), frames(20, 9)
    full = encoder(x)
    assert len(full.layers) == 4
    for depth in (1, 2, 3):
        early = encoder(x, depth=depth)
        assert len(early.layers) == depth + 1
        assert torch.equal(early.final.data, full.layers[depth])
        assert torch.equal(early.layers[-1], full.layers[depth])


def test_final_is_the_last_layer_normed_only_when_norm_is_first():
    x = frames(20)
    last = make().eval()(x)
    assert torch.equal(last.final.data, last.layers[-1])
    encoder = make(norm_first=True).eval()
    first = encoder(x)
    assert torch.equal(first.final.data, encoder.norm(first.layers[-1]))


def test_layer_zero_is_the_input_with_positions():
    x = frames(20)
    for norm_first in (False, True):
        encoder = make(norm_first).eval()
        with_positions = x.data + encoder.positions(x.data)
        expected = with_positions if norm_first else encoder.norm(with_positions)
        assert torch.equal(encoder(x).layers[0], expected)


def test_layerdrop_skips_whole_layers_in_training_only():
    encoder, x = make(layerdrop=1.0), frames(20)
    dropped = encoder.train()(x).layers
    assert len(dropped) == 4 and all(torch.equal(layer, dropped[0]) for layer in dropped)
    kept = encoder.eval()(x).layers
    assert not torch.equal(kept[1], kept[0])
    torch.manual_seed(0)
    half, skipped = make(layerdrop=0.5).train(), 0
    for _ in range(40):
        layers = half(x).layers
        skipped += sum(torch.equal(a, b) for a, b in pairwise(layers))
    assert 40 < skipped < 80  # of 120


def gradients(encoder: TransformerEncoder, x: Seq) -> tuple[torch.Tensor, list[torch.Tensor], int, torch.Tensor]:
    """Output, gradients, bytes kept for the backward pass, and where the random generator is afterwards."""
    torch.manual_seed(5)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        final = encoder(x).final.data
    final.square().sum().backward()
    found = [p.grad for p in encoder.parameters() if p.grad is not None]
    encoder.zero_grad()
    return final, found, sum(kept.values()), torch.get_rng_state()


@pytest.mark.parametrize("relative", [None, partial(GatedRelativePositions, 8, 20)], ids=["absolute", "relative"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_recomputed_layers_have_the_same_gradients_and_keep_less(norm_first: bool, relative):
    noise = {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.1, "layerdrop": 0.2}
    encoder, x = make(norm_first, relative=relative, depth=8, **noise).train(), frames(40, 17)
    final, grads, kept, state = gradients(encoder, x)
    encoder.recompute = True
    again, others, less, after = gradients(encoder, x)
    assert torch.equal(final, again) and torch.equal(state, after)
    assert len(grads) == len(others) and all(torch.equal(a, b) for a, b in zip(grads, others, strict=True))
    assert less < kept / 3
