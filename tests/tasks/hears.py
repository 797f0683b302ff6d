"""Recognisers with random weights that say something of any sound: every symbol is a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from speechunits.config import build
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR

FILTERBANK = {
    "_target_": "speechunits.inputs.audio_input.AudioInput",
    "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "stack": 4, "normalize": "none"},
}
UNITS = {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 16}


def hears(
    input: dict[str, Any], streams: Mapping[str, Stream] | None = None, search: dict[str, Any] | None = None
) -> ASR:
    """A model that hears a second around each frame of a filterbank, on a grid of 400 ms."""
    torch.manual_seed(0)
    block = {"_target_": "speechunits.nn.transformer_block.TransformerBlock", "ffn": 32}
    encoder = {"depth": 1, "dim": 16, "heads": 2, "chunk": 10, "left": 10}
    tree: dict[str, Any] = {
        "_target_": "speechunits.tasks.asr.ASR",
        "input": input,
        "encoder": {"_target_": "speechunits.encoders.block_encoder.BlockEncoder", "block": block, **encoder},
        "text": {"_target_": "speechunits.text.words.Words", "symbols": [f"w{i}" for i in range(30)]},
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
        "search": search,
    }
    made: ASR = build(tree, streams=streams or {}).eval()
    with torch.no_grad():
        made.heads["ctc"].linear.weight *= 8  # type: ignore[union-attr]
    return made
