"""UnitTokenizer: waveform to discrete units."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechunits import store
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.exchange.source import read_model, read_quantizer
from speechunits.part import Part, call, fill, node_of
from speechunits.quantizers.kmeans import KMeans
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.units.features import Features
from speechunits.units.units import Units


class UnitTokenizer(nn.Module):
    """Features, a quantizer and what shortens the result.

    Args:
        features: audio to vectors.
        quantizer: vectors to codes; filled with ``dim``.
        shrink: applied in order to the Units, e.g. ``[Dedup()]``.
    """

    fingerprint: str = ""

    def __init__(self, features: Features, quantizer: Part[nn.Module], shrink: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.features = features
        self.quantizer = fill(quantizer, dim=features.dim)
        self.shrink = nn.ModuleList(shrink)

    @property
    def vocab(self) -> tuple[int, ...]:
        """Codes per codebook."""
        return tuple(self.quantizer.vocab)

    @property
    def hop(self) -> Fraction:
        """Seconds per code, before anything is merged."""
        return self.features.hop

    @property
    def stream(self) -> Stream:
        """What a consumer of the stored codes must know."""
        return Stream(self.hop, self.vocab, self.fingerprint)

    @torch.inference_mode()
    def codes(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, K) codes, nothing merged. Call in eval mode."""
        vectors = self.features(audio)
        _, codes, _ = self.quantizer(vectors)
        return vectors.with_data(codes)

    def encode(self, audio: Seq) -> Units:
        """(B, S) audio -> Units, shortened by ``shrink``."""
        units = Units(self.codes(audio), self.vocab, self.fingerprint)
        for step in self.shrink:
            units = step(units)
        return units

    @classmethod
    def join(cls, features: Features, quantizer: nn.Module, shrink: Sequence[nn.Module] = ()) -> UnitTokenizer:
        """A tokenizer of parts that exist already; it can be saved as long as each part was built by ``config.build``."""
        made = cls(features, quantizer, shrink)
        node = {"features": node_of(features), "quantizer": node_of(quantizer), "shrink": [node_of(s) for s in shrink]}
        object.__setattr__(made, "_node", {"_target_": f"{cls.__module__}.{cls.__qualname__}", **node})
        return made.eval()

    @classmethod
    def from_pretrained(
        cls, source: str | Path, layer: int, quantizer: str | Path, trust_pickle: bool = False, **asked: Any
    ) -> UnitTokenizer:
        """A tokenizer of a finished encoder and a finished codebook, wherever they come from.

        ``UnitTokenizer.from_pretrained("facebook/hubert-base-ls960", layer=6, quantizer="km100/")``. Paths need no network;
        a name that is no path is looked for on the hub.

        Args:
            source: folder of an encoder of ours, or anything that ``exchange.source.read_model`` reads.
            layer: 6 = the output of the sixth block (``hidden_states[6]`` of transformers).
            quantizer: folder of a KMeans or of a tokenizer of ours, or centroids (``exchange.source.read_quantizer``).
            trust_pickle: see ``read_quantizer``.
            asked: what the source does not tell, e.g. ``normalize_audio=True``.

        Raises:
            UserError: there is no such layer, or the codebook is of another size or of another encoder or layer.
        """
        if (Path(source) / "meta.json").is_file():
            if told := [name for name, value in asked.items() if value is not None]:
                raise UserError(f"{source}: an encoder of ours, which says {', '.join(told)} itself; leave that out")
            encoder: SpeechEncoder = store.restore(source, expect=SpeechEncoder)
        else:
            encoder = read_model(source, **asked).encoder
        read = f"layer:{layer}"
        try:
            encoder.check_read(read)
        except ValueError as error:
            raise UserError(f"{source}: {error}") from error
        arguments = {"source": encoder, "read": read}
        features = call(Features, arguments, {"_target_": f"{Features.__module__}.Features", **arguments}, "features")
        return cls.join(features, _codebook(quantizer, features, f"{read} of {source}", trust_pickle))

    def save(self, folder: str | Path, derived_from: Sequence[str] = ()) -> str:
        """Write the tokenizer as a folder; returns and keeps its fingerprint."""
        self.fingerprint = store.save(
            self, folder, derived_from=derived_from, kind="tokenizer", hop=str(self.hop), vocab=list(self.vocab)
        )
        return self.fingerprint

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> UnitTokenizer:
        """Read what ``save`` wrote."""
        return store.restore(folder, device, expect=cls)  # type: ignore[no-any-return]


def restore_quantizer(folder: str) -> nn.Module:
    """The quantizer of a tokenizer folder, for a part that reads its centroids and has the features already."""
    return UnitTokenizer.load(folder).quantizer


def _codebook(folder: str | Path, features: Features, where: str, trust_pickle: bool) -> nn.Module:
    """The quantizer in ``folder``, if it fits ``features``, which are called ``where``."""
    ours = (Path(folder) / "meta.json").is_file()
    quantizer: nn.Module = store.restore(folder) if ours else read_quantizer(folder, trust_pickle)
    if isinstance(quantizer, UnitTokenizer):
        of = quantizer.features
        there, here = (store.identity(f.source) for f in (of, features))
        if there != here:
            raise UserError(
                f"{folder}: a codebook of the encoder {there}, but {where} has {here}; give the codebook of that one"
            )
        if of.read != features.read:
            raise UserError(
                f"{folder}: a codebook of {of.read}, but {where} is asked for; give that layer or another codebook"
            )
        quantizer = quantizer.quantizer
    if not isinstance(quantizer, KMeans):
        raise UserError(f"{folder}: holds a {type(quantizer).__name__}, but a KMeans is needed here")
    if (size := quantizer.centroids.size(1)) != features.dim:
        raise UserError(
            f"{folder}: centroids of {size} features, but {where} has {features.dim}; give the codebook of that layer"
        )
    return quantizer
