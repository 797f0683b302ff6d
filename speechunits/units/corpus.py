"""Corpus: labelled speech to measure units on."""

from __future__ import annotations

import torch

from speechunits.data.cuts import open_cuts
from speechunits.data.field import Field
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.phone_field import PhoneField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.symbol_table import read_symbols
from speechunits.units.feature_pass import FeaturePass


class Corpus:
    """One labelled corpus: audio, phones, speakers.

    Args:
        paths: cut manifests with phone alignments.
        symbols: symbol table of the phones.
        hop: seconds per phone label, as "1/50".
        num_workers, device: see ``FeaturePass``.
    """

    def __init__(
        self,
        paths: str | list[str],
        symbols: str,
        hop: str,
        num_workers: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.cuts, self.symbols = open_cuts(paths), read_symbols(symbols)
        phones = PhoneField(symbols, hop=hop)
        self.fields: dict[str, Field] = {"audio": AudioField(), "phones": phones, "speakers": SpeakerField()}
        self.num_workers, self.device = num_workers, device

    def batches(self, seconds: float | None = None) -> FeaturePass:
        """A pass over all of it or, given ``seconds``, over cuts drawn evenly that last about so long together."""
        share = 1.0 if seconds is None else min(1.0, seconds / float(self.cuts.seconds.sum()))
        # ranks=1: every process of torchrun sees all of it
        return FeaturePass(
            self.cuts, self.fields, share=share, num_workers=self.num_workers, device=self.device, rank=0, ranks=1
        )
