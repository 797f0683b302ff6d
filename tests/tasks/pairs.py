"""Toy recognisers of every encoder with every head, in float64, that say something of any sound."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch

from speechunits.config import build
from speechunits.draws import draws
from speechunits.seq import pad
from speechunits.tasks.asr import ASR

STILL = {"dropout": 0.0, "attention_dropout": 0.0}
BLOCKS: dict[str, dict[str, Any]] = {
    "transformer": {"_target_": "speechunits.nn.transformer_block.TransformerBlock", "ffn": 24, **STILL},
    "conformer": {"_target_": "speechunits.nn.conformer.ConformerBlock", "ffn": 24, "kernel": 5, **STILL},
    "ebranchformer": {
        "_target_": "speechunits.nn.ebranchformer.EBranchformerBlock", "ffn": 24, "units": 16, "kernel": 5, "merge_kernel": 3,
        **STILL,
    },
}  # fmt: skip
CTC: dict[str, Any] = {"_target_": "speechunits.heads.ctc.CTC"}
ATTENTION = {
    "_target_": "speechunits.heads.attention_decoder.AttentionDecoder",
    "depth": 1,
    "ffn": 24,
    "heads": 2,
    "dropout": 0.0,
}
STATELESS: dict[str, Any] = {
    "_target_": "speechunits.heads.transducer.Transducer",
    "predictor": {"_target_": "speechunits.heads.stateless_predictor.StatelessPredictor", "dim": 16},
    "dim_joint": 24,
}
RECURRENT = STATELESS | {
    "predictor": {"_target_": "speechunits.heads.recurrent_predictor.RecurrentPredictor", "dim": 16}
}
LOUDER = {
    "linear.weight": 4.0,
    "joiner.heard.weight": 4.0,
    "joiner.out.weight": 6.0,
}  # so that random heads say all sorts of things


def recogniser(block: str, heads: dict[str, Any], search: dict[str, Any], **encoder: Any) -> ASR:
    """Filterbanks every 10 ms, subsampled by 4, two blocks, letters and spaces."""
    torch.manual_seed(1)
    frontend = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 16, "normalize": "none"}
    tree: dict[str, Any] = {
        "_target_": "speechunits.tasks.asr.ASR",
        "input": {
            "_target_": "speechunits.inputs.audio_input.AudioInput",
            "frontend": frontend,
            "norm": {"_target_": "speechunits.nn.global_norm.GlobalNorm"},
            "subsampling": {"_target_": "speechunits.nn.conv2d_subsampling.Conv2dSubsampling", "dim": 8},
        },
        "encoder": {
            "_target_": "speechunits.encoders.block_encoder.BlockEncoder",
            **{"block": BLOCKS[block], "depth": 2, "dim": 16, "heads": 2, "dropout": 0.0, **encoder},
        },
        "text": {"_target_": "speechunits.text.characters.Characters", "symbols": list(" abcdefg")},
        "heads": heads,
        "search": search,
    }
    model: ASR = build(tree, streams={}).eval()
    with torch.no_grad():
        for name, weight in model.heads.named_parameters():
            weight *= next((factor for end, factor in LOUDER.items() if name.endswith(end)), 1.0)
            if name.endswith(("ctc.linear.bias", "joiner.out.bias")):  # more spaces, and blanks
                weight[0] += 2.0
                weight[-1] += 2.0
        model.input.prepare.norm.mean.fill_(-6.0)
        spread = model.double().hear(batch(3.0))  # of untrained frames, which are all alike but for what this leaves
        frames = next(iter(spread.values())).data[0]
        model.encoder.norm.weight /= frames.std(0)
        model.encoder.norm.bias -= frames.mean(0) / frames.std(0)
    return model


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    """Noise whose level changes every 50 ms, (S,) float64."""
    g = torch.Generator().manual_seed(seed)
    count = round(seconds * 16000)
    level = 10 ** torch.empty(count // 800 + 1, dtype=torch.float64).uniform_(-3, -0.5, generator=g)
    return level.repeat_interleave(800)[:count] * torch.randn(count, generator=g, dtype=torch.float64)


def batch(*seconds: float) -> dict[str, Any]:
    """Utterances of so many seconds, each the same whatever stands beside it."""
    text = [
        torch.randint(8, (max(1, round(3 * s)),), generator=torch.Generator().manual_seed(round(1000 * s)))
        for s in seconds
    ]
    return {
        "audio": pad([sound(s, round(1000 * s)) for s in seconds], Fraction(1, 16000)),
        "text": pad(text, None),
        "draws": draws([str(s) for s in seconds]),
    }
