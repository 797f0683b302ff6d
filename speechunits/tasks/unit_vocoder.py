"""UnitVocoder: speech from units, from soft units or from features, with any conditions and generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.errors import UserError
from speechunits.inputs.label_table import LabelTable
from speechunits.inputs.unit_input import UnitInput
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.term import Term
from speechunits.units.dedup import Dedup
from speechunits.units.runs import inner_runs, paced


class UnitVocoder(nn.Module):
    """Input, conditions beside its frames, generator: each a slot.

    Speech resynthesis: Polyak et al. 2021, arXiv:2104.00355, section 3; durations as in Lee et al. 2022, arXiv:2107.05604,
    section 3.3. Reads what the input and the conditions read; ``VocoderTraining`` trains it.

    Args:
        input: batch to frames (``inputs``), filled with ``streams``.
        generator: frames to a waveform (``vocoders``), filled with ``dim`` and ``hop``.
        conditions: by name, what stands beside the frames: speaker, style, pitch, energy; filled with ``streams``.
        durations: of units without repetitions (``DurationPredictor``), filled with ``dim``; for a ``UnitInput``.
        streams: fields of codes and vectors that the data offers, supplied by the recipe.

    Raises:
        ValueError: the input's frames have no hop, or durations are asked for where no unit is a frame.
    """

    fingerprint: str = ""

    def __init__(
        self,
        input: Part[nn.Module],
        generator: Part[nn.Module],
        conditions: Mapping[str, Part[nn.Module]] | None = None,
        durations: Part[nn.Module] | None = None,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.input = fill(input, streams=streams)
        if self.input.hop is None:
            raise ValueError(
                "input: merged units have no hop; train on the units of all frames, and expand merged ones"
            )
        self.conditions = nn.ModuleDict(fill_all(conditions or {}, streams=streams))
        dim = self.input.dim + sum(condition.dim for condition in self.conditions.values())
        self.generator = fill(generator, dim=dim, hop=self.input.hop)
        self.durations = None if durations is None else fill(durations, dim=self.input.dim)
        if durations is not None and not (
            isinstance(self.input, UnitInput) and self.input.hop == self.input.stream.hop
        ):
            raise ValueError("durations: are those of units, so input must be a UnitInput without subsampling")

    @property
    def rate(self) -> int:
        """Samples per second of what is said."""
        return int(self.generator.rate)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names that ``batch["speaker"]`` may hold; () where it reads none."""
        tables = [c for c in self.conditions.values() if isinstance(c, LabelTable) and c.field == "speaker"]
        return tables[0].names.names if tables else ()

    @property
    def labels(self) -> dict[str, str | None]:
        """What units and vectors must be made by (see ``protocols.Finishes``)."""
        parts = [self.input, *self.conditions.values()]
        return {field: name for part in parts for field, name in part.labels.items()}

    def frames(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """(B, T, dim) of the generator: the input's frames with the conditions beside them, 0 on padding."""
        x: Seq = self.input(batch, draws)
        beside = [condition(batch, x) for condition in self.conditions.values()]
        return x.with_data(torch.cat([x.data, *beside], -1) * x.valid[..., None])

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> waveform (B, S). ``draws``: hide and distort units by these; None = all is said as it is."""
        return self.generator(self.frames(batch, draws))  # type: ignore[no-any-return]

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Seq]:
        """``audio``: the waveform of units of all frames, or of expanded ones."""
        return {"audio": self(self.expand(batch))}

    def duration_counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of ``duration_terms``, from units alone."""
        if self.durations is None:
            return {}
        return {"duration": inner_runs(batch[self.input.field])[1].lengths.sum()}

    def duration_terms(self, batch: Batch) -> dict[str, Term]:
        """How far predicted durations are from those of the units of all frames; {} without a predictor."""
        if self.durations is None:
            return {}
        starts, counts = inner_runs(batch[self.input.field])
        x: Seq = self.input(batch, batch["draws"] if self.training else None)
        places = starts.data.clamp(min=0)[..., None].expand(-1, -1, x.data.size(2))
        return {"duration": self.durations.term(starts.with_data(x.data.gather(1, places)), counts)}

    def expand(self, batch: Batch, speed: float = 1.0) -> Batch:
        """Each merged unit as often as it lasts, as ``batch["durations"]`` says or as predicted, at ``speed`` times the pace.

        Units of all frames stay as they are, or last as long as their runs where another speed is asked for.

        Raises:
            UserError: merged units without durations, and nothing to predict them by; or no units.
        """
        if not isinstance(self.input, UnitInput):
            if speed == 1:
                return batch
            raise UserError("this vocoder reads no units, so its speed cannot be changed; leave the speed out")
        field, lasting = self.input.field, self.input.durations_field
        units: Seq = batch[field]
        if units.hop is not None:
            if speed == 1:
                return batch
            pairs = [Dedup.shorten(ids, ids.new_ones(len(ids))) for ids in unpad(units)]
        else:
            frames = batch[lasting] if lasting in batch else self._lasting(batch)
            pairs = list(zip(unpad(units), unpad(frames), strict=True))
        rows = [ids.repeat_interleave(paced(frames, speed), 0) for ids, frames in pairs]
        expanded = pad(rows, self.input.stream.hop).to(units.data.device)
        return {name: value for name, value in batch.items() if name != lasting} | {field: expanded}

    def _lasting(self, batch: Batch) -> Seq:
        """(B, N) predicted frames of merged units."""
        if self.durations is None:
            raise UserError("these units are merged, and the vocoder has no durations; give units with durations")
        x: Seq = self.input(batch)
        return replace(x, data=self.durations.frames(x), hop=self.input.stream.hop)

    def fold(self) -> None:
        """Prepare the generator for use alone: the same sound, faster."""
        self.generator.fold()
