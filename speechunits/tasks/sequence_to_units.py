"""SequenceToUnits: units from text, or from anything else that an input makes frames of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.encoders.hidden import check_read
from speechunits.heads.length_range import LengthRange
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch
from speechunits.seq import Seq, pad
from speechunits.stream import Stream
from speechunits.term import Term
from speechunits.units.units import Units


class SequenceToUnits(nn.Module):
    """Input, encoder, conditions, head, search: each a slot. Text to units with ``TextInput`` (Hayashi and Watanabe 2020,
    arXiv:2005.05525), speech to units with an input that hears (Lee et al. 2022, arXiv:2107.05604, section 3.2). A head writes
    symbol by symbol (``AttentionDecoder``) or all frames at once (``ParallelDecoder``).

    Reads what input and conditions read, ``batch[field]``, (B, T) or (B, T, 1) units, and ``batch["draws"]``. How many units
    are written for a frame of the input is learned on the way and bounds the search (``LengthRange``).

    Args:
        input: batch to frames (``inputs``), filled with ``streams``.
        encoder: frames to Hidden, filled with ``dim_in``; a linear map stands before one of another dimension.
        head: writes units, filled with ``dim`` and ``vocab``. Its terms are called ``field/term``.
        search: what finds units in what the head is given, as ``UnitSearch``, ``UnitSampling``, ``AllAtOnce``.
        conditions: by name, filled with ``streams``; vectors beside each frame of the encoder (``LabelTable``, ``VoiceInput``).
        read: what the head reads of the encoder, "final" or "layer:N".
        field: of the units.
        lengths: of what is written; None = ``LengthRange()``.
        kind: name of the folder that a training leaves.
        streams: fields of codes that the data offers, supplied by the recipe.

    Raises:
        ValueError: the data has no such units, the encoder no such layer, or the search needs another head.
    """

    def __init__(
        self,
        input: Part[nn.Module],
        encoder: Part[nn.Module],
        head: Part[nn.Module],
        search: nn.Module,
        conditions: Mapping[str, Part[nn.Module]] | None = None,
        read: str = "final",
        field: str = "units",
        lengths: LengthRange | None = None,
        kind: str = "text_to_units",
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        if field not in streams or len(streams[field].vocab) != 1:
            there = ", ".join(name for name, stream in streams.items() if len(stream.vocab) == 1) or "none"
            raise ValueError(f"field: the data has no '{field}' of one codebook; it has: {there}")
        self.field, self.stream, self.kind, self.read = field, streams[field], kind, read
        self.input = fill(input, streams=streams)
        self.encoder = fill(encoder, dim_in=self.input.dim)
        check_read(read, int(self.encoder.depth), getattr(self.encoder, "branches", ()))
        dim_in, dim = int(self.encoder.dim_in), int(self.encoder.dim)
        self.entry = nn.Identity() if self.input.dim == dim_in else nn.Linear(self.input.dim, dim_in)
        self.conditions = nn.ModuleDict(fill_all(conditions or {}, streams=streams))
        beside = sum(int(part.dim) for part in self.conditions.values())
        self.join = nn.Linear(dim + beside, dim) if beside else nn.Identity()
        self.head = fill(head, dim=dim, vocab=self.stream.vocab)
        self.range = lengths or LengthRange()
        self.replace_search(search)

    def replace_search(self, search: nn.Module) -> None:
        """Find units by ``search`` from now on.

        Raises:
            ValueError: it is made for another head.
        """
        if not hasattr(self.head, search.reads):
            kinds = type(search).__name__, type(self.head).__name__
            raise ValueError("search: a {} does not search a {}; name another".format(*kinds))
        self.search = search

    def hear(self, batch: Batch) -> Seq:
        """(B, L, dim), what the head is given; hidden and distorted by the batch's draws in training."""
        x = self.input(batch, batch["draws"] if self.training else None)
        heard = self.encoder(x.with_data(self.entry(x.data))).read(self.read)
        beside = [part(batch, heard) for part in self.conditions.values()]
        return heard.with_data(self.join(torch.cat([heard.data, *beside], -1)))  # type: ignore[no-any-return]

    def _units(self, batch: Batch) -> Seq:
        """(B, T), also where they are stored as (B, T, 1)."""
        units: Seq = batch[self.field]
        return units.with_data(units.data.reshape(units.data.shape[:2]))

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted term, from lengths alone (see ``protocols.Trainable``)."""
        counts = self.head.counts(self.input.lengths(batch), self._units(batch))
        return {f"{self.field}/{name}": count for name, count in counts.items()}

    def possible(self, batch: Batch) -> dict[str, Tensor]:
        """(B,) bool: whether the head can write these units; from lengths."""
        return {self.field: self.head.possible(self.input.lengths(batch), self._units(batch))}

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass (see ``protocols.Trainable``)."""
        heard, units = self.hear(batch), self._units(batch)
        if self.training:
            self.range.gather(heard.lengths, units)
        return {f"{self.field}/{name}": term for name, term in self.head(heard, units).items()}

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """``units``: Units (B, T, 1) without durations; ``hypotheses``: of each utterance, the best first; ``doubtful``: B
        booleans, where there are as few or as many units as no training data had (see ``LengthRange``).
        """
        heard = self.hear(batch)
        limits = self.range(heard.lengths)
        found = self.search(self.head, heard, limits, batch["draws"])
        written = pad([each[0].ids for each in found], self.stream.hop).to(heard.data.device)
        tokenizer = self.stream.fingerprint.removesuffix("+dedup")  # merged Units are still those of their tokenizer
        units = Units(written.with_data(written.data[..., None]), self.stream.vocab, tokenizer)
        doubtful = (written.lengths <= limits[:, 0]) | (written.lengths >= limits[:, 1])
        return {"units": units, "hypotheses": found, "doubtful": doubtful.tolist()}

    @property
    def labels(self) -> dict[str, str | None]:
        """What input, conditions and units must be encoded by (see ``protocols.Finishes``)."""
        parts = [self.input, *self.conditions.values()]
        return {name: print_ for part in parts for name, print_ in part.labels.items()} | {
            self.field: self.stream.fingerprint
        }

    def artefacts(self) -> dict[str, nn.Module]:
        """The whole."""
        return {self.kind: self}
