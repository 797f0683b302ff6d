"""Codebook dropout: units of several layers or levels, of which some are not heard."""

from __future__ import annotations

import torch
from torch import nn

from speechunits.draws import Draws
from speechunits.seq import Seq


class CodebookDropout(nn.Module):
    """In training 0 to K - 1 of an utterance's K codebooks are left out, each number and then each choice equally likely, so
    that any of them are enough at use: the layer drop of scalable vocoders (Mousavi et al. 2024, arXiv:2406.10735; SpeechBrain
    ``hifigan_discrete``). Goes where ``UnitCorruption`` goes; what is left out is -1, at use too.

    Drawn per utterance from (seed, epoch, cut id, purpose): batch-mates change nothing.
    """

    def forward(self, units: Seq, vocab: tuple[int, ...], draws: Draws, purpose: str = "codebooks") -> Seq:
        """(B, T, K) ids and codes per codebook -> ids with whole codebooks -1."""
        data = units.data.clone()
        for row, random in zip(data, draws.generators(purpose), strict=True):
            left_out = random.choice(len(vocab), random.integers(len(vocab)), replace=False)
            row[:, torch.from_numpy(left_out).to(row.device)] = -1
        return units.with_data(data)
