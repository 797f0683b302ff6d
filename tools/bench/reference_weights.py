"""Weights of the reference HuBERTs under our names; used by the benchmark and by tests/parity."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# torchaudio's HuBERTPretrainModel and transformers' HubertModel name their parts alike; only the prefixes differ.
RENAMES = [
    (r"^wav2vec2\.encoder\.transformer\.", "encoder."),
    (r"^wav2vec2\.(encoder\.)?feature_", "feature_"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"encoder.frontend.blocks.\1.norm."),
    (r"^feature_extractor\.conv_layers\.", "encoder.frontend.blocks."),
    (r"^feature_projection\.layer_norm\.", "encoder.projection.norm."),
    (r"^feature_projection\.projection\.", "encoder.projection.linear."),
    (r"^encoder\.pos_conv_embed\.", "encoder.encoder.positions."),
    (r"^encoder\.layer_norm\.", "encoder.encoder.norm."),
    (r"^encoder\.layers\.", "encoder.encoder.layers."),
    (r"\.attention\.out_proj\.", ".attention.out."),
    (r"(layers\.\d+)\.layer_norm\.", r"\1.attention_norm."),
    (r"(layers\.\d+)\.final_layer_norm\.", r"\1.ffn_norm."),
    (r"\.feed_forward\.intermediate_dense\.", ".up."),
    (r"\.feed_forward\.output_dense\.", ".down."),
    (r"^(mask_generator\.mask_embedding|masked_spec_embed)$", "encoder.masker.vector"),
    (r"^logit_generator\.final_proj\.", "objectives.units.head.projection."),
    (r"^logit_generator\.label_embeddings$", "objectives.units.head.codes.0"),
]


def renamed(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters (or gradients) by the reference's names -> by those of ``SSLModel``; q, k and v joined into one."""
    ours: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        ours[name] = tensor
    for name in [n for n in ours if ".q_proj." in n]:
        parts = [ours.pop(name.replace(".q_proj.", f".{p}_proj.")) for p in "qkv"]
        ours[name.replace(".q_proj.", ".qkv.")] = torch.cat(parts)
    return ours
