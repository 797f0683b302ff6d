"""Evaluation: one system's candidates, codebooks over seeds, and every measure of the chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from speechunits.encoders.hidden import layer_of
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
from speechunits.units.corpus import Corpus
from speechunits.units.feature_bank import FeatureBank
from speechunits.units.layer_analysis import LayerAnalysis
from speechunits.views.add_noise import AddNoise

LAYER_PAIRS = 400_000  # ABX comparisons of each candidate: a tenth of those of the chosen one


class Evaluation:
    """Fit and measure one system.

    Args:
        bank: its candidates.
        size: clusters of each codebook.
        fitter: further arguments of ``KMeansFitter``.
        fit_frames: frames that codebooks are fitted on, about; of cuts drawn evenly over the corpus.
        silence: phones left out of ABX.
        segments: ABX tests.
        snr: decibels of the noise of the unit error rate.
        analysis: what else to find out about the candidates; it learns while ``fit`` and measures while ``compare``.
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
        analysis: LayerAnalysis | None = None,
    ) -> None:
        if not isinstance(bank, FeatureBank):
            raise UserError(
                f"a system to evaluate is a speechunits.units.feature_bank.FeatureBank, not {type(bank).__name__}"
            )
        self.bank, self.size, self.fitter, self.fit_frames = bank, size, dict(fitter), fit_frames
        self.silence, self.segments, self.noise = tuple(silence), tuple(segments), AddNoise(snr)
        self.analysis = analysis
        self.codebooks: dict[str, dict[int, KMeans]] = {}

    @staticmethod
    def place(candidate: str) -> dict[str, Any]:
        """``{"layer": 3}`` for "layer:3", nothing for other places."""
        layer = layer_of(candidate)
        return {} if layer is None else {"layer": layer}

    def fit(self, corpus: Corpus, seeds: Sequence[int]) -> None:
        """A codebook for every candidate and seed."""
        vectors, _ = self.bank.read(corpus.batches(float(self.fit_frames * self.bank.hop)))
        if self.analysis is not None:
            self.analysis.learn(vectors, corpus.cuts, self.bank.hop, self.silence)
        for name, kept in vectors.items():
            self.codebooks[name] = {}
            for seed in seeds:
                fitter = KMeansFitter(self.size, seed=seed, **self.fitter)
                self.codebooks[name][seed], _ = fitter.fit(self.bank.stream(kept), report=lambda figures: None)

    def _codes(self, codebook: KMeans, vectors: Mapping[str, Tensor], ids: Sequence[str]) -> Seq:
        return codebook.codes(pad([vectors[i] for i in ids], self.bank.hop))

    def compare(
        self, corpus: Corpus, abx: bool = False, system: str = ""
    ) -> dict[str, dict[int | None, dict[str, float]]]:
        """Purity of every candidate and seed: what a layer is chosen by.

        Args:
            abx: also ABX of the first seed's units.
            system: what the analysis calls this one; its figures, which no seed changes, come under None.
        """
        vectors, batches = self.bank.read(corpus.batches())
        out: dict[str, dict[int | None, dict[str, float]]] = {}
        more = {}
        if self.analysis is not None:
            more = self.analysis.measure(system, vectors, corpus.cuts, self.bank.hop, self.silence)
        for name, by_seed in self.codebooks.items():
            out[name] = {}
            for i, (seed, codebook) in enumerate(by_seed.items()):
                measures: list[Measure] = [UnitPurity()]
                if abx and i == 0:
                    measures.append(self._abx("units", corpus, max_pairs=LAYER_PAIRS))
                for batch in batches:
                    outputs = {"units": self._codes(codebook, vectors[name], batch["ids"])}
                    for measure in measures:
                        measure.update(outputs, batch)
                out[name][seed] = _figures(measures)
            if name in more:
                out[name][None] = more[name]
        return out

    def measure(self, name: str, corpus: Corpus) -> dict[int, dict[str, float]]:
        """All measures of one candidate, by seed; ABX of the vectors themselves goes to the first seed."""
        clean, batches = self.bank.read(corpus.batches(), names=[name])
        noisy, _ = self.bank.read(corpus.batches(), self.noise, [name])
        out: dict[int, dict[str, float]] = {}
        for i, (seed, codebook) in enumerate(self.codebooks[name].items()):
            measures: list[Measure] = [
                UnitPurity(),
                CodebookUsage(vocab=codebook.vocab),
                Bitrate(vocab=codebook.vocab),
                UnitErrorRate(),
                self._abx("units", corpus),
            ]
            if i == 0:
                measures.append(self._abx("features", corpus, name="abx_features"))
            for batch in batches:
                ids = batch["ids"]
                outputs = {
                    "units": self._codes(codebook, clean[name], ids),
                    "augmented_units": self._codes(codebook, noisy[name], ids),
                    "features": pad([clean[name][k] for k in ids], self.bank.hop),
                }
                for measure in measures:
                    measure.update(outputs, batch)
            out[seed] = _figures(measures)
        return out

    def _abx(self, field: str, corpus: Corpus, **how: Any) -> Abx:
        silence = [corpus.symbols.index(s) for s in self.silence if s in corpus.symbols]
        return Abx(field, self.segments, silence, **how)  # type: ignore[arg-type]


def _figures(measures: Sequence[Measure]) -> dict[str, float]:
    return {k: v for m in measures for k, v in m.compute().items() if not k.endswith("_kept")}
