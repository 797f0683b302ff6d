"""Ours against transformers' Conformers: the whole encoder with copied weights, and the causal convolution module."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2BertConfig, Wav2Vec2ConformerConfig
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertConvolutionModule
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

from speechunits.encoders.block_encoder import BlockEncoder
from speechunits.nn.conformer import ConformerBlock
from speechunits.nn.conv_module import ConvModule
from speechunits.nn.horizon import Horizon
from speechunits.nn.rotary import rotary_angles, turn
from speechunits.seq import Seq

DIM, HEADS, KERNEL = 16, 2, 5
NAMES = {
    "ffn1_layer_norm.": "ffn_before.norm.", "ffn1.intermediate_dense.": "ffn_before.up.",
    "ffn1.output_dense.": "ffn_before.down.", "ffn2_layer_norm.": "ffn_after.norm.",
    "ffn2.intermediate_dense.": "ffn_after.up.", "ffn2.output_dense.": "ffn_after.down.",
    "self_attn_layer_norm.": "attention_norm.", "self_attn.linear_out.": "attention.out.",
    "conv_module.layer_norm.": "conv.norm.", "conv_module.pointwise_conv1.": "conv.enter.",
    "conv_module.depthwise_conv.": "conv.conv.conv.", "conv_module.batch_norm.": "conv.conv_norm.",
    "conv_module.pointwise_conv2.": "conv.leave.", "final_layer_norm.": "norm.",
}  # fmt: skip


class ChannelNorm(nn.LayerNorm):
    """The norm of ours in the place of the reference's BatchNorm, on (B, D, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def turns_with_positions(weight: Tensor) -> Tensor:
    """A random projection that commutes with every rotation: it turns and scales each pair of features.

    The reference turns what enters the projections of queries and keys, we turn what leaves them, as the paper does; for
    such weights it is the same.
    """
    half = DIM // HEADS // 2
    blocks = []
    for _ in range(HEADS):
        real, imaginary = torch.randn(2, half, dtype=weight.dtype).diag_embed()
        blocks.append(torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)]))
    return torch.block_diag(*blocks)


def to_ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for i in range(3):
        layer = f"layers.{i}."
        for kind in ("weight", "bias"):
            qkv = [state[f"{layer}self_attn.linear_{name}.{kind}"] for name in "qkv"]
            out[f"{layer}attention.qkv.{kind}"] = torch.cat(qkv)
            for theirs, ours in NAMES.items():
                if (name := f"{layer}{theirs}{kind}") in state:
                    tensor = state[name]
                    out[f"{layer}{ours}{kind}"] = tensor[..., 0] if "pointwise" in name else tensor
    return out | {f"norm.{kind}": state[f"layer_norm.{kind}"] for kind in ("weight", "bias")}


@pytest.mark.parametrize("positions", ["rotary", None])
def test_whole_encoder(positions: str | None, shake, monkeypatch) -> None:
    config = Wav2Vec2ConformerConfig(
        hidden_size=DIM, num_hidden_layers=3, num_attention_heads=HEADS, intermediate_size=24, hidden_act="swish",
        position_embeddings_type=positions, conv_depthwise_kernel_size=KERNEL, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, attn_implementation="eager",
    )  # fmt: skip
    theirs = Wav2Vec2ConformerEncoder(config).double().eval()
    for layer in theirs.layers:
        layer.conv_module.batch_norm = ChannelNorm(DIM).double()
    shake(theirs)
    if positions is None:  # ours has no such switch: every frame stands at the same place
        monkeypatch.setattr("speechunits.nn.horizon.turn", lambda x, cos, sin: x)
    else:
        for layer in theirs.layers:
            for projection in (layer.self_attn.linear_q, layer.self_attn.linear_k):
                projection.weight.data = turns_with_positions(projection.weight)
                projection.bias.data.zero_()
    ours = BlockEncoder(partial(ConformerBlock, 24, KERNEL), 3, DIM, HEADS).double().eval()
    weights = to_ours(theirs.state_dict())
    missing, surplus = ours.load_state_dict(weights, strict=False)
    assert missing == ["updates"] and surplus == []
    x = torch.randn(2, 30, DIM, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x, output_hidden_states=True)
        found = ours(Seq(x, torch.tensor([30, 30]), Fraction(1, 50)))
    torch.testing.assert_close(found.final.data, expected.last_hidden_state, rtol=0, atol=1e-6)
    assert float(found.final.data.std()) > 0.1


def test_causal_convolution_module(shake) -> None:
    """Padding too: that reference zeroes it before the convolution, as ours does."""
    config = Wav2Vec2BertConfig(hidden_size=DIM, conv_depthwise_kernel_size=KERNEL, hidden_act="swish")
    theirs = Wav2Vec2BertConvolutionModule(config).double().eval()
    shake(theirs)
    ours = ConvModule(DIM, KERNEL, causal=True).double().eval()
    names = {
        "layer_norm.": "norm.", "pointwise_conv1.": "enter.", "depthwise_conv.": "conv.conv.",
        "depthwise_layer_norm.": "conv_norm.", "pointwise_conv2.": "leave.",
    }  # fmt: skip
    state = {}
    for name, tensor in theirs.state_dict().items():
        start, kind = name.rsplit(".", 1)
        state[names[f"{start}."] + kind] = tensor[..., 0] if "pointwise" in name else tensor
    ours.load_state_dict(state)
    x = Seq(torch.randn(2, 12, DIM, dtype=torch.float64), torch.tensor([12, 8]), None)
    expected = theirs(x.data, x.valid)
    for chunk in (None, 4):  # a causal filter does not see chunks
        found = ours(x.data, Horizon.over(x, 8, chunk))
        torch.testing.assert_close(found[x.valid], expected[x.valid], rtol=0, atol=1e-10)


def test_rotary_positions_are_those_of_llama() -> None:
    q, k = torch.randn(2, 1, 3, 9, 8, dtype=torch.float64)
    cos, sin = rotary_angles(9, 8, q)
    expected = apply_rotary_pos_emb(q, k, cos[None], sin[None])
    for found, wanted in zip((turn(q, cos, sin), turn(k, cos, sin)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
