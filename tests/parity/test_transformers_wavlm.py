"""Ours against transformers.WavLMModel: every hidden state, padded batches included, and the gradients of the positions."""

from __future__ import annotations

import pytest
import torch
from transformers import WavLMConfig, WavLMModel

from speechunits.config import build
from speechunits.encoder import SpeechEncoder
from speechunits.exchange.architecture import STRIDES, Numbers, encoder_tree
from speechunits.exchange.names import to_ours

PADDED = (60000, 33000, 5000)  # 187 frames: beyond the 80 that have a bucket each


def pair(norm: str, norm_first: bool, buckets: int, furthest: int, shake) -> tuple[WavLMModel, SpeechEncoder]:
    config = WavLMConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, feat_extract_norm=norm,
        conv_dim=[16] * 7, conv_bias=norm == "layer", num_conv_pos_embeddings=9, num_conv_pos_embedding_groups=2,
        do_stable_layer_norm=norm_first, num_buckets=buckets, max_bucket_distance=furthest,
    )  # fmt: skip
    theirs = WavLMModel(config).double().eval()
    shake(theirs)
    weights, left = to_ours(theirs.state_dict())
    assert left == []
    numbers = Numbers(heads=2, strides=STRIDES, norm_first=norm_first, normalize_audio=False, furthest=furthest)
    ours = build(encoder_tree(weights, numbers)).double().eval()
    ours.load_state_dict(weights, strict=True)
    return theirs, ours


@pytest.mark.parametrize(("buckets", "furthest"), [(320, 800), (32, 40)])
@pytest.mark.parametrize("norm_first", [False, True], ids=["norm-last", "norm-first"])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_toy_float64(norm, norm_first, buckets, furthest, make_batch, shake):
    theirs, ours = pair(norm, norm_first, buckets, furthest, shake)
    batch = make_batch(PADDED, ours.frontend.frames, torch.float64)
    audio = batch["audio"]
    with torch.no_grad():
        for draws in (None, batch["draws"]):
            look = ours(audio, draws)
            valid = look.frames.valid
            out = theirs(
                audio.data,
                attention_mask=audio.valid.long(),
                mask_time_indices=None if draws is None else look.frames.masked,
                output_hidden_states=True,
            )
            assert len(out.hidden_states) == len(look.hidden.layers) == 4
            for state, expected in zip(look.hidden.layers, out.hidden_states, strict=True):
                torch.testing.assert_close(state[valid], expected[valid], rtol=0, atol=1e-6)
            final = look.read("final").data
            torch.testing.assert_close(final[valid], out.last_hidden_state[valid], rtol=0, atol=1e-6)


def test_gradients_of_the_positions(make_batch, shake):
    theirs, ours = pair("layer", True, 320, 800, shake)
    audio = make_batch((30000,), ours.frontend.frames, torch.float64)["audio"]
    ours(audio).read("final").data.square().mean().backward()
    theirs(audio.data).last_hidden_state.square().mean().backward()
    gradients = {n: p.grad for n, p in theirs.named_parameters() if p.grad is not None}
    expected, _ = to_ours(gradients)
    found = {n: p.grad for n, p in ours.named_parameters() if n.startswith("encoder.relative.")}
    assert len(found) == 1 + 3 * 3
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def test_dropout_forms_the_same_attention(make_batch, shake):
    """In training on a CPU the scores are written out: with a dropout that drops nothing they are the fused ones."""
    _, ours = pair("layer", False, 320, 800, shake)
    audio = make_batch(PADDED, ours.frontend.frames, torch.float64)["audio"]
    for layer in ours.encoder.layers:
        layer.attention.dropout = 1e-12
        layer.dropout.p = layer.activation_dropout.p = 0.0
    ours.encoder.dropout.p = 0.0
    with torch.no_grad():
        valid = ours(audio).frames.valid
        fused, formed = (ours.train(mode)(audio).read("final").data[valid] for mode in (False, True))
    torch.testing.assert_close(formed, fused, rtol=0, atol=1e-9)
