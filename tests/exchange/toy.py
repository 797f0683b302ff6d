"""Toy models of transformers with random weights, as folders; and how to move every weight off its initial value."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from speechunits.nn.hf import MODELS
from speechunits.seq import Seq, pad

# kind, norm of the convolutions, norm first: every combination that transformers has
KINDS = [
    *(
        (k, norm, first)
        for k in ("hubert", "wav2vec2", "wavlm")
        for norm in ("group", "layer")
        for first in (False, True)
    ),
    ("data2vec-audio", "layer", False),
]
NAMES = [f"{kind}-{norm}-{'first' if first else 'last'}" for kind, norm, first in KINDS]


@torch.no_grad()
def shake(model: nn.Module) -> None:
    """No zero bias and no unit norm may hide a wrong name."""
    random = torch.Generator().manual_seed(2)
    for p in model.parameters():
        noise = torch.randn(p.shape, generator=random)
        p.add_(noise * (0.3 * p.std() if p.numel() > 1 and p.std() > 0 else 0.1))


def model(kind: str, norm: str = "group", norm_first: bool = False, **settings: Any) -> Any:
    """In eval mode."""
    positions = {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}
    if kind != "data2vec-audio":
        positions = {"num_conv_pos_embeddings": 8, "feat_extract_norm": norm, "do_stable_layer_norm": norm_first}
    small = {
        "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40, "conv_dim": [12] * 7,
        "conv_bias": norm == "layer", "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    config = getattr(transformers, f"{MODELS[kind]}Config")(**{**small, **positions, **settings})
    made = getattr(transformers, f"{MODELS[kind]}Model")(config).eval()
    shake(made)
    return made


def folder(made: Any, path: Path, normalize: bool = True) -> Path:
    """As ``save_pretrained`` of the model and of its feature extractor leave it."""
    made.save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(path)
    return path


def audio(*lengths: int) -> Seq:
    random = torch.Generator().manual_seed(1)
    return pad([0.02 + 0.1 * torch.randn(n, generator=random) for n in lengths], Fraction(1, 16000))


def heard(seq: Seq, folder: Path) -> list[Tensor]:
    """Each utterance (1, S) as the folder's own feature extractor gives it."""
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    rows = (row[:n].numpy() for row, n in zip(seq.data, seq.lengths.tolist(), strict=True))
    return [extractor(x, sampling_rate=16000, return_tensors="pt").input_values for x in rows]
