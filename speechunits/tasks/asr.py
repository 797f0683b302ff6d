"""ASR: text from units, from a filterbank or from features, with any encoder and heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.decode.fusion import check_text
from speechunits.decode.greedy import Greedy
from speechunits.decode.hypothesis import Search
from speechunits.encoders.hidden import check_read
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.term import Term


class ASR(nn.Module):
    """Input, encoder, heads, search: each a slot, so that units, filterbanks and features are compared by one line.

    Discrete units: Chang et al. 2023, arXiv:2309.15800. Joint CTC and attention is two heads, intermediate CTC (Lee and
    Watanabe 2021, arXiv:2102.03216) one more CTC head with a place of its own. Reads what the input reads, ``batch["text"]``
    (ids of ``text``) and ``batch["draws"]``.

    Args:
        input: batch to frames (``inputs``), filled with ``streams``.
        encoder: frames to Hidden, filled with ``dim_in``; a linear map stands before one of another dimension.
        text: tokenizer of the transcripts, the one that made ``batch["text"]``.
        heads: by name; filled with ``dim`` and ``vocab``. Their terms are called ``name/term``.
        places: what a head reads, "layer:N", for those that do not read "final".
        search: what finds text in what the heads were given; None = ``Greedy()``.
        streams: fields of codes that the data offers, supplied by the recipe.

    Raises:
        ValueError: the encoder has no such place, a place names no head, or the search's language model is of another text.
    """

    def __init__(
        self,
        input: Part[nn.Module],
        encoder: Part[nn.Module],
        text: nn.Module,
        heads: Mapping[str, Part[nn.Module]],
        places: Mapping[str, str] | None = None,
        search: Search | None = None,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.input = fill(input, streams=streams)
        self.encoder = fill(encoder, dim_in=self.input.dim)
        dim_in = int(self.encoder.dim_in)
        self.entry = nn.Identity() if self.input.dim == dim_in else nn.Linear(self.input.dim, dim_in)
        self.text, self.search = text, search or Greedy()
        check_text(self.search, text.fingerprint)
        self.heads = nn.ModuleDict(fill_all(heads, dim=self.encoder.dim, vocab=text.stream.vocab))
        self.places = dict.fromkeys(heads, "final") | dict(places or {})
        for name, place in self.places.items():
            if name not in self.heads:
                raise ValueError(f"places: there is no head '{name}'; there are: {', '.join(self.heads)}")
            check_read(place, int(self.encoder.depth), getattr(self.encoder, "branches", ()))

    def hear(self, batch: Batch) -> dict[str, Seq]:
        """(B, T, dim) for each head; hidden and distorted by the batch's draws in training."""
        x = self.input(batch, batch["draws"] if self.training else None)
        hidden = self.encoder(x.with_data(self.entry(x.data)))
        return {name: hidden.read(place) for name, place in self.places.items()}

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that the encoder is given, from lengths alone."""
        return self.input.lengths(batch)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted term, from lengths and text (see ``protocols.Trainable``)."""
        frames = self.lengths(batch)
        return {f"{n}/{k}": c for n, head in self.heads.items() for k, c in head.counts(frames, batch["text"]).items()}

    def possible(self, batch: Batch) -> dict[str, Tensor]:
        """Of each head that aligns text with frames, (B,) bool: whether it can; from lengths and text."""
        frames = self.input.lengths(batch)
        return {n: h.possible(frames, batch["text"]) for n, h in self.heads.items() if hasattr(h, "possible")}

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass (see ``protocols.Trainable``)."""
        heard = self.hear(batch)
        return {f"{n}/{k}": t for n, head in self.heads.items() for k, t in head(heard[n], batch["text"]).items()}

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """``text``: B strings; ``hypotheses``: of each utterance, the best first."""
        found = self.search(dict(self.heads.items()), self.hear(batch))
        return {"text": [each[0].text(self.text) for each in found], "hypotheses": found}

    def edges(self, batch: Batch) -> Tensor | None:
        """(B, T + 1) float64 seconds at which the frames that heads are given begin, and the last one ends, from the beginning
        of each cut; None where the input knows no time.
        """
        return self.input.edges(batch)  # type: ignore[no-any-return]

    @property
    def labels(self) -> dict[str, str | None]:
        """What the transcripts and the units must be encoded by (see ``protocols.Finishes``)."""
        return {"text": self.text.fingerprint, **self.input.labels}

    def artefacts(self) -> dict[str, nn.Module]:
        """The whole."""
        return {"asr": self}
