"""One transformer layer against torch's, norm first and last."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from speechunits.nn.transformer import TransformerLayer


@pytest.mark.parametrize("norm_first", [False, True])
def test_is_torchs_encoder_layer(norm_first: bool):
    ours = TransformerLayer(12, 20, 3, norm_first=norm_first).double().eval()
    for p in ours.parameters():  # biases start at zero and would hide a wrong place
        nn.init.normal_(p, std=0.3)
    theirs = nn.TransformerEncoderLayer(
        12, 3, 20, activation="gelu", batch_first=True, norm_first=norm_first, dtype=torch.float64
    ).eval()
    names = {
        "self_attn.in_proj_": "attention.qkv.", "self_attn.out_proj.": "attention.out.", "linear1.": "up.",
        "linear2.": "down.", "norm1.": "attention_norm.", "norm2.": "ffn_norm.",
    }  # fmt: skip
    state = ours.state_dict()
    theirs.load_state_dict({a + kind: state[b + kind] for a, b in names.items() for kind in ("weight", "bias")})
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    real = torch.arange(6) < torch.tensor([[6], [4]])
    expected = theirs(x, src_key_padding_mask=~real)
    torch.testing.assert_close(ours(x, real[:, None, None])[0][real], expected[real], rtol=0, atol=1e-10)
