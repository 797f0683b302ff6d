"""Weights and configurations as fairseq lays them out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

K, WIDTH = 9, 6
LAYERS = "[(12,10,5)] + [(12,3,2)] * 4 + [(12,2,2)] * 2"


def named_by_fairseq(theirs: Any, norm: str) -> dict[str, Tensor]:
    """transformers' weights as fairseq's HubertModel names them, written down from its source, one by one."""
    w, out = theirs.state_dict(), {}
    for i in range(7):
        for end in ("weight", "bias"):
            if f"feature_extractor.conv_layers.{i}.conv.{end}" in w:
                out[f"feature_extractor.conv_layers.{i}.0.{end}"] = w[f"feature_extractor.conv_layers.{i}.conv.{end}"]
            if f"feature_extractor.conv_layers.{i}.layer_norm.{end}" in w:
                inside = "2.1" if norm == "layer" else "2"
                out[f"feature_extractor.conv_layers.{i}.{inside}.{end}"] = w[
                    f"feature_extractor.conv_layers.{i}.layer_norm.{end}"
                ]
    for end in ("weight", "bias"):
        out[f"layer_norm.{end}"] = w[f"feature_projection.layer_norm.{end}"]
        out[f"post_extract_proj.{end}"] = w[f"feature_projection.projection.{end}"]
        out[f"encoder.layer_norm.{end}"] = w[f"encoder.layer_norm.{end}"]
    out["mask_emb"] = w["masked_spec_embed"]
    if "encoder.pos_conv_embed.conv.bias" in w:
        out["encoder.pos_conv.0.bias"] = w["encoder.pos_conv_embed.conv.bias"]
        out["encoder.pos_conv.0.weight_g"] = w["encoder.pos_conv_embed.conv.parametrizations.weight.original0"]
        out["encoder.pos_conv.0.weight_v"] = w["encoder.pos_conv_embed.conv.parametrizations.weight.original1"]
    else:
        for i in range(3):
            for end in ("weight", "bias"):
                out[f"encoder.pos_conv.{i}.0.{end}"] = w[f"encoder.pos_conv_embed.layers.{i}.conv.{end}"]
    pairs = {
        "self_attn.q_proj": "attention.q_proj", "self_attn.k_proj": "attention.k_proj",
        "self_attn.v_proj": "attention.v_proj", "self_attn.out_proj": "attention.out_proj",
        "self_attn_layer_norm": "layer_norm", "final_layer_norm": "final_layer_norm",
        "fc1": "feed_forward.intermediate_dense", "fc2": "feed_forward.output_dense",
        "self_attn.grep_linear": "attention.gru_rel_pos_linear",
    }  # fmt: skip
    for i in range(3):
        for mine, yours in pairs.items():
            for end in ("weight", "bias"):
                if f"encoder.layers.{i}.{yours}.{end}" in w:
                    out[f"encoder.layers.{i}.{mine}.{end}"] = w[f"encoder.layers.{i}.{yours}.{end}"]
        if f"encoder.layers.{i}.attention.gru_rel_pos_const" in w:
            out[f"encoder.layers.{i}.self_attn.grep_a"] = w[f"encoder.layers.{i}.attention.gru_rel_pos_const"]
    if "encoder.layers.0.attention.rel_attn_embed.weight" in w:
        name = "encoder.layers.0.self_attn.relative_attention_bias.weight"
        out[name] = w["encoder.layers.0.attention.rel_attn_embed.weight"]
    assert len(out) == len(w)
    return out


def about(first: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "_name": "hubert", "extractor_mode": "default", "encoder_layers": 3, "encoder_embed_dim": 24,
        "encoder_ffn_embed_dim": 40, "encoder_attention_heads": 4, "activation_fn": "gelu", "dropout": 0.05,
        "attention_dropout": 0.2, "activation_dropout": 0.01, "encoder_layerdrop": 0.03, "dropout_input": 0.15,
        "final_dim": WIDTH, "layer_norm_first": first, "conv_feature_layers": LAYERS, "logit_temp": 0.2,
        "feature_grad_mult": 0.1, "mask_prob": 0.7, "mask_length": 8, **more,
    }  # fmt: skip


def head(order: list[int] | None = None) -> dict[str, Tensor]:
    """final_proj and label_embs_concat: four specials first, then unit u in row 4 + order[u]."""
    random = torch.Generator().manual_seed(5)
    return {
        "final_proj.weight": torch.randn(WIDTH, 24, generator=random),
        "final_proj.bias": torch.randn(WIDTH, generator=random),
        "label_embs_concat": torch.randn(4 + K, WIDTH, generator=random),
    }
