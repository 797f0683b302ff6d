"""AttentionDecoder against the norm-first decoders of transformers: Speech2Text (sines) and mBART (learned positions)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from transformers import MBartConfig, Speech2TextConfig
from transformers.models.mbart.modeling_mbart import MBartDecoder
from transformers.models.speech_to_text.modeling_speech_to_text import Speech2TextDecoder

from speechunits.heads.attention_decoder import AttentionDecoder
from speechunits.nn.learned_positions import LearnedPositions
from speechunits.seq import Seq, pad

DIM, VOCAB = 12, 6
SIZES = {
    "d_model": DIM, "decoder_layers": 3, "decoder_attention_heads": 3, "decoder_ffn_dim": 20, "vocab_size": VOCAB + 2,
    "dropout": 0.0, "attention_dropout": 0.0, "activation_function": "relu", "scale_embedding": True,
}  # fmt: skip


def speech_to_text() -> tuple[Any, Any]:
    # With a padding of -1 it counts positions from 0; otherwise from 2, as fairseq does.
    config = Speech2TextConfig(**SIZES, pad_token_id=-1, max_target_positions=20)
    return Speech2TextDecoder(config), None


def mbart() -> tuple[Any, Any]:
    theirs = MBartDecoder(MBartConfig(**SIZES, pad_token_id=VOCAB + 1, max_position_embeddings=9))
    theirs.layernorm_embedding = nn.Identity()  # a norm of its own that no decoder of speech has
    return theirs, partial(LearnedPositions, 9)


@pytest.mark.parametrize("make", [speech_to_text, mbart])
def test_toy_float64(make: Any, shake: Any) -> None:
    torch.manual_seed(0)
    theirs, positions = make()
    theirs = theirs.double().eval()
    shake(theirs)
    more = {} if positions is None else {"positions": positions}
    ours = AttentionDecoder(3, 20, 3, dim=DIM, vocab=(VOCAB,), **more).double().eval()
    ours.load_state_dict({**ours.state_dict(), **weights(theirs, ours)})
    x = Seq(torch.randn(3, 7, DIM, dtype=torch.float64), torch.tensor([7, 5, 2]), None)
    text = pad([torch.tensor(s) for s in ([0, 1, 1, 4], [2, 5], [3])], None)
    said = nn.functional.pad(text.data.clamp(min=0), (1, 0), value=VOCAB)
    want = theirs(said, encoder_hidden_states=x.data, encoder_attention_mask=x.valid.long()).last_hidden_state
    want = ours.linear(want).log_softmax(-1)
    real = torch.arange(5) <= text.lengths[:, None]
    torch.testing.assert_close(ours.log_probs(x, text)[real], want[real], rtol=0, atol=1e-6)


def weights(theirs: Any, ours: AttentionDecoder) -> dict[str, torch.Tensor]:
    """Theirs by our names."""
    found = {"embedding.weight": theirs.embed_tokens.weight[: VOCAB + 1]}
    if isinstance(ours.positions, LearnedPositions):
        found["positions.table.weight"] = theirs.embed_positions.weight[2:]
    modules = {"norm": theirs.layer_norm}
    for i, layer in enumerate(theirs.layers):
        for name, attention in (("said", layer.self_attn), ("heard", layer.encoder_attn)):
            modules[f"layers.{i}.{name}.query"], modules[f"layers.{i}.{name}.out"] = (
                attention.q_proj,
                attention.out_proj,
            )
            for kind in ("weight", "bias"):
                both = [getattr(p, kind) for p in (attention.k_proj, attention.v_proj)]
                found[f"layers.{i}.{name}.memory.{kind}"] = torch.cat(both)
        names = {"said_norm": layer.self_attn_layer_norm, "heard_norm": layer.encoder_attn_layer_norm}
        names |= {"ffn_norm": layer.final_layer_norm, "up": layer.fc1, "down": layer.fc2}
        modules |= {f"layers.{i}.{name}": module for name, module in names.items()}
    return found | {f"{n}.{k}": v for n, module in modules.items() for k, v in module.state_dict().items()}
