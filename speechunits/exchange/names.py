"""The names that transformers, torchaudio and fairseq give the weights of one architecture, and ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from speechunits.errors import UserError

# Beginnings of names, theirs and ours; # is a number. Ours are those of SpeechEncoder, and "head." those of CosineHead.
# Where two of theirs are one of ours, the first is the one that is written.
Table = list[tuple[str, str]]

_CONVOLUTIONS: Table = [
    ("feature_extractor.conv_layers.#.conv.", "frontend.blocks.#.conv."),
    ("feature_extractor.conv_layers.#.layer_norm.", "frontend.blocks.#.norm."),
]


def _layers(at: str) -> Table:
    """What transformers and torchaudio call alike, below ``at``."""
    return [
        (f"{at}pos_conv_embed.conv.weight_g", "encoder.positions.conv.parametrizations.weight.original0"),
        (f"{at}pos_conv_embed.conv.weight_v", "encoder.positions.conv.parametrizations.weight.original1"),
        (f"{at}pos_conv_embed.layers.#.conv.", "encoder.positions.convs.#."),
        (f"{at}pos_conv_embed.conv.", "encoder.positions.conv."),
        (f"{at}layer_norm.", "encoder.norm."),
        (f"{at}layers.#.attention.rel_attn_embed.", "encoder.relative.table."),
        (f"{at}layers.#.attention.gru_rel_pos_linear.", "encoder.relative.gates.#.linear."),
        (f"{at}layers.#.attention.gru_rel_pos_const", "encoder.relative.gates.#.scale"),
        (f"{at}layers.#.attention.out_proj.", "encoder.layers.#.attention.out."),
        (f"{at}layers.#.attention.", "encoder.layers.#.attention."),
        (f"{at}layers.#.layer_norm.", "encoder.layers.#.attention_norm."),
        (f"{at}layers.#.final_layer_norm.", "encoder.layers.#.ffn_norm."),
        (f"{at}layers.#.feed_forward.intermediate_dense.", "encoder.layers.#.up."),
        (f"{at}layers.#.feed_forward.output_dense.", "encoder.layers.#.down."),
    ]


TRANSFORMERS: Table = [
    *_CONVOLUTIONS,
    ("feature_projection.layer_norm.", "projection.norm."),
    ("feature_projection.projection.", "projection.linear."),
    *_layers("encoder."),
    ("masked_spec_embed", "masker.vector"),
]
TORCHAUDIO: Table = [
    *_CONVOLUTIONS,
    ("encoder.feature_projection.layer_norm.", "projection.norm."),
    ("encoder.feature_projection.projection.", "projection.linear."),
    # WavLM keeps torch's own attention inside its attention, with q, k and v joined already.
    ("encoder.transformer.layers.#.attention.attention.in_proj_", "encoder.layers.#.attention.qkv."),
    ("encoder.transformer.layers.#.attention.attention.out_proj.", "encoder.layers.#.attention.out."),
    *_layers("encoder.transformer."),
    ("mask_generator.mask_embedding", "masker.vector"),
    ("logit_generator.final_proj.", "head.projection."),
    ("logit_generator.label_embeddings", "head.codes.0"),
]
FAIRSEQ: Table = [
    ("feature_extractor.conv_layers.#.0.", "frontend.blocks.#.conv."),
    ("feature_extractor.conv_layers.#.2.1.", "frontend.blocks.#.norm."),  # layer norm, between two transpositions
    ("feature_extractor.conv_layers.#.2.", "frontend.blocks.#.norm."),
    ("layer_norm.", "projection.norm."),
    ("post_extract_proj.", "projection.linear."),
    ("encoder.pos_conv.0.weight_g", "encoder.positions.conv.parametrizations.weight.original0"),
    ("encoder.pos_conv.0.weight_v", "encoder.positions.conv.parametrizations.weight.original1"),
    ("encoder.pos_conv.0.bias", "encoder.positions.conv.bias"),
    ("encoder.pos_conv.#.0.", "encoder.positions.convs.#."),
    ("encoder.layer_norm.", "encoder.norm."),
    ("encoder.layers.#.self_attn.relative_attention_bias.", "encoder.relative.table."),
    ("encoder.layers.#.self_attn.grep_linear.", "encoder.relative.gates.#.linear."),
    ("encoder.layers.#.self_attn.grep_a", "encoder.relative.gates.#.scale"),
    ("encoder.layers.#.self_attn.out_proj.", "encoder.layers.#.attention.out."),
    ("encoder.layers.#.self_attn.", "encoder.layers.#.attention."),
    ("encoder.layers.#.self_attn_layer_norm.", "encoder.layers.#.attention_norm."),
    ("encoder.layers.#.final_layer_norm.", "encoder.layers.#.ffn_norm."),
    ("encoder.layers.#.fc1.", "encoder.layers.#.up."),
    ("encoder.layers.#.fc2.", "encoder.layers.#.down."),
    ("mask_emb", "masker.vector"),
    ("final_proj.", "head.projection."),
    ("label_embs_concat", "head.codes.0"),
]


def _translate(name: str, table: Iterable[tuple[str, str]]) -> str | None:
    for begins, becomes in table:
        if found := re.match(re.escape(begins).replace(r"\#", r"(\d+)"), name):
            number = found.group(1) if found.groups() else "0"
            return becomes.replace("#", number) + name[found.end() :]
    return None


def dialect(names: Iterable[str]) -> tuple[str, str, Table] | None:
    """Who named these weights, what stands before their names, and the table; None for no architecture of ours."""
    names = list(names)
    for name in names:
        before, found, rest = name.partition("feature_extractor.conv_layers.0.")
        if not found:
            continue
        if rest.startswith("0."):
            return "fairseq", before, FAIRSEQ
        if any(n.startswith(f"{before}encoder.transformer.") for n in names):
            return "torchaudio", before, TORCHAUDIO
        return "transformers", before, TRANSFORMERS
    return None


def to_ours(theirs: Mapping[str, Tensor], where: str = "the weights") -> tuple[dict[str, Tensor], list[str]]:
    """Weights (or gradients) by any of their names -> by ours, q, k and v joined; and the names that have no place here.

    Args:
        where: the source, to begin sentences with.

    Raises:
        UserError: no model of this architecture; or its encoder has a part that ours lacks.
    """
    spoken = dialect(theirs)
    if spoken is None:
        raise UserError(
            f"{where}: no weights of a HuBERT, wav2vec 2.0, WavLM or data2vec model (feature_extractor.conv_layers.0 is "
            "missing); give one of these, or get it again"
        )
    _, before, table = spoken
    ours: dict[str, Tensor] = {}
    left: list[str] = []
    for name, tensor in theirs.items():
        short = name.removeprefix(before)
        known = _translate(short, table)
        if known is None and short.startswith(("encoder.", "feature_extractor.")):
            raise UserError(f"{where}: '{name}' belongs to a part of an encoder that speechunits does not have")
        if known is None:
            left.append(name)
        else:
            ours[known] = tensor
    for name in [n for n in ours if ".q_proj." in n]:
        parts = [n for n in (name.replace(".q_proj.", f".{p}_proj.") for p in "qkv") if n in ours]
        q, *others = [ours.pop(n) for n in parts]
        if any(other.shape != q.shape for other in others):
            raise UserError(
                f"{where}: q, k and v of {name.split('.q_proj')[0]} have unlike shapes; get the model again"
            )
        ours[name.replace(".q_proj.", ".qkv.")] = torch.cat([q, *others]) if q.dim() else q
    return ours, left


def in_model(ours: Mapping[str, Tensor], objective: str = "units") -> dict[str, Tensor]:
    """The same under the names of an ``SSLModel`` whose objective of that name holds the head."""
    return {(f"objectives.{objective}." if n.startswith("head.") else "encoder.") + n: t for n, t in ours.items()}


def to_transformers(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a SpeechEncoder -> by transformers' names, q, k and v apart."""
    apart: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        if ".attention.qkv." in name:
            apart |= {name.replace(".qkv.", f".{p}_proj."): t for p, t in zip("qkv", tensor.chunk(3), strict=True)}
        else:
            apart[name] = tensor
    back = [(becomes, begins) for begins, becomes in TRANSFORMERS if not begins.endswith(("weight_g", "weight_v"))]
    theirs = {_translate(name, back): tensor for name, tensor in apart.items()}
    assert None not in theirs, "a SpeechEncoder that transformers holds has no other names"
    return theirs  # type: ignore[return-value]
