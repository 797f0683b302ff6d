"""Ours against transformers.HubertModel: every hidden state, clean and masked."""

from __future__ import annotations

import pytest
import torch
from transformers import HubertConfig, HubertModel

from speechunits.exchange.names import to_ours

PADDED = (8000, 6100, 3333)


def toy(norm: str, norm_first: bool, attention: str) -> HubertModel:
    config = HubertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        feat_extract_norm=norm,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=9,
        num_conv_pos_embedding_groups=2,
        do_stable_layer_norm=norm_first,
        attn_implementation=attention,
    )
    return HubertModel(config)


def encoder_weights(theirs: HubertModel) -> dict[str, torch.Tensor]:
    ours, left = to_ours(theirs.state_dict())
    assert left == []
    return ours


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["norm-last", "norm-first"])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_toy_float64(norm, norm_first, attention, make_model, make_batch, normalised, shake):
    large = norm == "layer"
    theirs = toy(norm, norm_first, attention).double().eval()
    shake(theirs)
    ours = make_model(
        f"model.encoder.frontend.norm={norm}",
        f"model.encoder.frontend.normalize_audio={large}",
        f"model.encoder.encoder.norm_first={norm_first}",
    ).encoder.double().eval()  # fmt: skip
    ours.load_state_dict(encoder_weights(theirs), strict=True)
    batch = make_batch(PADDED, ours.frontend.frames, torch.float64)
    audio = batch["audio"]
    with torch.no_grad():
        for draws in (None, batch["draws"]):
            look = ours(audio, draws)
            valid = look.frames.valid
            out = theirs(
                normalised(audio) if large else audio.data,
                attention_mask=audio.valid.long(),
                mask_time_indices=None if draws is None else look.frames.masked,
                output_hidden_states=True,
            )
            assert len(out.hidden_states) == len(look.hidden.layers) == 3
            for state, expected in zip(look.hidden.layers, out.hidden_states, strict=True):
                torch.testing.assert_close(state[valid], expected[valid], rtol=0, atol=1e-6)
            final = look.read("final").data  # norm-first models: after the final norm, which no layer has
            torch.testing.assert_close(final[valid], out.last_hidden_state[valid], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_base_float32(make_model, make_batch):
    theirs = HubertModel(HubertConfig()).eval()
    ours = make_model(toy=False).encoder.eval()
    ours.load_state_dict(encoder_weights(theirs), strict=True)
    audio = make_batch((32000,), ours.frontend.frames, torch.float32)["audio"]
    with torch.no_grad():
        look, out = ours(audio), theirs(audio.data, output_hidden_states=True)
    assert len(out.hidden_states) == len(look.hidden.layers) == 13
    for state, expected in zip(look.hidden.layers, out.hidden_states, strict=True):
        torch.testing.assert_close(state, expected, rtol=0, atol=1e-4)
