"""Evaluation: one system's candidates, codebooks over seeds, and every measure of the chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from speechunits.data.cuts import open_cuts
from speechunits.data.field import Field
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.phone_field import PhoneField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.symbol_table import read_symbols
from speechunits.errors import UserError
from speechunits.metrics.abx import Abx
from speechunits.metrics.bitrate import Bitrate
from speechunits.metrics.codebook_usage import CodebookUsage
from speechunits.metrics.measure import Measure
from speechunits.metrics.unit_error_rate import UnitErrorRate
from speechunits.metrics.unit_purity import UnitPurity
from speechunits.quantizers.kmeans import KMeans
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import Seq, pad
from speechunits.units.feature_bank import FeatureBank
from speechunits.units.feature_pass import FeaturePass
from speechunits.views.add_noise import AddNoise


class Corpus:
    """One labelled corpus for measuring: phones, speakers, audio.

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
        phones = PhoneField(symbols, hop=hop)
        fields: dict[str, Field] = {"audio": AudioField(), "phones": phones, "speakers": SpeakerField()}
        self.symbols = read_symbols(symbols)
        # ranks=1: every process of torchrun sees all of it
        self.batches = FeaturePass(open_cuts(paths), fields, num_workers=num_workers, device=device, rank=0, ranks=1)


class Evaluation:
    """Fit and measure one system.

    Args:
        bank: its candidates.
        size: clusters of each codebook.
        fitter: further arguments of ``KMeansFitter``.
        fit_frames: frames that codebooks are fitted on.
        silence: phones left out of ABX.
        segments: ABX tests.
        snr: decibels of the noise of the unit error rate.
    """

    def __init__(
        self,
        bank: FeatureBank,
        size: int,
        fitter: Mapping[str, Any],
        fit_frames: int,
        silence: Sequence[str],
        segments: Sequence[str],
        snr: float,
    ) -> None:
        if not isinstance(bank, FeatureBank):
            raise UserError(
                f"a system to evaluate is a speechunits.units.feature_bank.FeatureBank, not {type(bank).__name__}"
            )
        self.bank, self.size, self.fitter = bank, size, dict(fitter)
        self.silence, self.segments, self.noise = tuple(silence), tuple(segments), AddNoise(snr)
        self.bank.sample_frames = fit_frames
        self.codebooks: dict[str, dict[int, KMeans]] = {}

    @staticmethod
    def place(candidate: str) -> dict[str, Any]:
        """``{"layer": 3}`` for "layer:3", nothing for other places."""
        kind, _, number = candidate.partition(":")
        return {"layer": int(number)} if kind == "layer" and number.isdigit() else {}

    def fit(self, corpus: Corpus, seeds: Sequence[int]) -> None:
        """A codebook for every candidate and seed."""
        vectors, _ = self.bank.read(corpus.batches)
        for name, kept in vectors.items():
            self.codebooks[name] = {}
            for seed in seeds:
                fitter = KMeansFitter(self.size, seed=seed, **self.fitter)
                self.codebooks[name][seed], _ = fitter.fit(self.bank.stream(kept), report=lambda figures: None)

    def _codes(self, codebook: KMeans, vectors: Mapping[str, Tensor], ids: Sequence[str]) -> Seq:
        return codebook.codes(pad([vectors[i] for i in ids], self.bank.hop))

    def _whole(self, corpus: Corpus, noisy: bool = False) -> tuple[dict[str, dict[str, Tensor]], list[dict[str, Any]]]:
        sample, self.bank.sample_frames = self.bank.sample_frames, None
        try:
            return self.bank.read(corpus.batches, self.noise if noisy else None)
        finally:
            self.bank.sample_frames = sample

    def purity(self, corpus: Corpus) -> dict[str, dict[int, dict[str, float]]]:
        """Purity measures of every candidate and seed: what a layer is chosen by."""
        vectors, batches = self._whole(corpus)
        out: dict[str, dict[int, dict[str, float]]] = {}
        for name, by_seed in self.codebooks.items():
            out[name] = {}
            for seed, codebook in by_seed.items():
                measure = UnitPurity()
                for batch in batches:
                    measure.update({"units": self._codes(codebook, vectors[name], batch["ids"])}, batch)
                out[name][seed] = measure.compute()
        return out

    def measure(self, name: str, corpus: Corpus) -> dict[int, dict[str, float]]:
        """All measures of one candidate, by seed; ABX of the vectors themselves goes to the first seed."""
        clean, batches = self._whole(corpus)
        noisy, _ = self._whole(corpus, noisy=True)
        silence = [corpus.symbols.index(s) for s in self.silence if s in corpus.symbols]
        out: dict[int, dict[str, float]] = {}
        for i, (seed, codebook) in enumerate(self.codebooks[name].items()):
            measures: list[Measure] = [
                UnitPurity(),
                CodebookUsage(vocab=codebook.vocab),
                Bitrate(vocab=codebook.vocab),
                UnitErrorRate(),
                Abx("units", self.segments, silence),  # type: ignore[arg-type]
            ]
            if i == 0:
                measures.append(Abx("features", self.segments, silence, name="abx_features"))  # type: ignore[arg-type]
            for batch in batches:
                ids = batch["ids"]
                outputs = {
                    "units": self._codes(codebook, clean[name], ids),
                    "augmented_units": self._codes(codebook, noisy[name], ids),
                    "features": pad([clean[name][k] for k in ids], self.bank.hop),
                }
                for measure in measures:
                    measure.update(outputs, batch)
            out[seed] = {k: v for m in measures for k, v in m.compute().items() if not k.endswith("_kept")}
        return out
