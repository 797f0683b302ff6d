"""ProsodyPredictor: how a speaker would say units: how long, how high, how loud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.inputs.standard_prosody import StandardProsody
from speechunits.nn.speaker_prosody import SpeakerProsody
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.tasks.prosody_conversion import merged, repeated
from speechunits.term import Term
from speechunits.units.runs import inner_runs


class ProsodyPredictor(nn.Module):
    """Durations from units without repetitions, contours from units of frames, both knowing the speaker: conversion of rhythm
    and pitch by what the target would do (Maimon and Adi 2023, arXiv:2212.09730, section 3).

    Reads what input and conditions read, ``batch["draws"]`` in training, and for terms the prosody.

    Args:
        input: units to vectors (``UnitInput``), one for each unit and made of it alone, so without subsampling; filled with
            ``streams``.
        durations: of units without repetitions (``DurationPredictor``), filled with ``dim``.
        contours: of frames (``ContourPredictor``), filled with ``dim``.
        conditions: who speaks, how (``LabelTable``, ``VoiceInput``), side by side with the vectors; filled with ``streams``.
        encoder: what frames know of each other before their contours, filled with ``dim_in``; None = nothing.
        speakers, field: of the prosody, see ``StandardProsody``; what is predicted is put back by the same scale, which for
            unknown speakers is that of ``batch[field]``: give what is there of the target.
        streams: what the data offers, supplied by the recipe.

    Raises:
        ValueError: units and prosody are not in step.
    """

    def __init__(
        self,
        input: Part[nn.Module],
        durations: Part[nn.Module],
        contours: Part[nn.Module],
        conditions: Mapping[str, Part[nn.Module]] | None = None,
        encoder: Part[nn.Module] | None = None,
        speakers: SpeakerProsody | None = None,
        field: str = "prosody",
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.input = fill(input, streams=streams)
        self.prosody = StandardProsody(speakers, field, streams=streams)
        self.hop = self.prosody.stream.hop
        if self.hop is None or self.input.hop != self.hop:
            raise ValueError(
                f"input gives a frame every {self.input.hop} s, the prosody of '{field}' every {self.hop} s; give units of "
                "all frames, without subsampling, and extract the prosody with their hop"
            )
        self.conditions = nn.ModuleDict(fill_all(conditions or {}, streams=streams))
        dim = self.input.dim + sum(int(part.dim) for part in self.conditions.values())
        self.durations = fill(durations, dim=dim)
        self.encoder = None if encoder is None else fill(encoder, dim_in=dim)
        self.entry: nn.Module = nn.Identity()
        if self.encoder is not None:
            self.entry, dim = nn.Linear(dim, int(self.encoder.dim_in)), int(self.encoder.dim)
        self.contours = fill(contours, dim=dim)

    def vectors(self, batch: Batch) -> Seq:
        """(B, T, D) of units, all frames or without repetitions, and of who says them."""
        x: Seq = self.input(batch, batch["draws"] if self.training else None)
        beside = [part(batch, x) for part in self.conditions.values()]
        return x.with_data(torch.cat([x.data, *beside], -1) * x.valid[..., None])

    def heard(self, x: Seq) -> Seq:
        """Vectors of frames (B, T, D) -> what their contours are made of."""
        if self.encoder is None:
            return x
        return self.encoder(x.with_data(self.entry(x.data))).final  # type: ignore[no-any-return]

    def _standard(self, batch: Batch, frames: int) -> Seq:
        return self.prosody(batch).at(self.hop, frames)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every term, from stored units and prosody alone (see ``protocols.Trainable``)."""
        units: Seq = batch[self.input.field]
        standard = self._standard(batch, units.data.size(1))
        return {"duration/loss": inner_runs(units)[1].lengths.sum(), **self.contours.counts(standard)}

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass (see ``protocols.Trainable``); the first and the last run may be cut, so their durations are not
        learned.
        """
        x = self.vectors(batch)
        starts, frames = inner_runs(batch[self.input.field])
        rows = starts.data.clamp(min=0)[..., None].expand(-1, -1, x.data.size(-1))
        runs = Seq(x.data.gather(1, rows), starts.lengths, None)
        standard = self._standard(batch, x.data.size(1))
        return {"duration/loss": self.durations.term(runs, frames), **self.contours.terms(self.heard(x), standard)}

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """Units without repetitions, which get their predicted durations, or units of all frames, which keep their rhythm, to
        ``durations`` (B, N) predicted for the former, ``units`` of frames (B, T) and ``prosody`` (B, T, 3) of them.

        Raises:
            UserError: a speaker is not known, see ``SpeakerProsody``.
        """
        name = self.input.field
        units: Seq = batch[name]
        runs = units if units.hop is None else merged(units)[0]
        lasting = Seq(self.durations.frames(self.vectors({**batch, name: runs})), runs.lengths, self.hop)
        if units.hop is None:
            units = repeated(runs, lasting)
        standard = self.contours.standard(self.heard(self.vectors({**batch, name: units})))
        return {"durations": lasting, "units": units, "prosody": self.prosody.scale(batch).restore(standard)}

    @property
    def labels(self) -> dict[str, str | None]:
        """What it is trained on (see ``protocols.Finishes``)."""
        parts = [self.input, self.prosody, *self.conditions.values()]
        return {field: name for part in parts for field, name in part.labels.items()}

    def artefacts(self) -> dict[str, nn.Module]:
        """The whole."""
        return {"prosody": self}
