"""SpeakerTraining: a SpeakerEncoder and what it is trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch
from speechunits.stream import Stream
from speechunits.tasks.speaker_encoder import SpeakerEncoder
from speechunits.term import Term


class SpeakerTraining(nn.Module):
    """Losses over the vectors of a batch: classification of the training speakers (``MarginSoftmax``), vectors of one speaker
    against those of others (``SupervisedContrastive``), or both. They are not saved with the encoder.

    Args:
        speaker_encoder: filled with ``streams``; what is learned, and saved as ``speaker_encoder``.
        losses: by name; filled with ``dim``. Their terms are called ``name/term``.
        views: ``view(audio, draws)`` gives other audio of the same speaker (``Excerpt``); every vector is one of a view. None
            given: the encoder hears the audio itself.
        field: entry of the batch with B names. "ids" makes a speaker of every utterance: learning without labels, from views.
        streams: fields that the data offers, supplied by the recipe.
    """

    def __init__(
        self,
        speaker_encoder: Part[SpeakerEncoder],
        losses: Mapping[str, Part[nn.Module]],
        views: Sequence[nn.Module] = (),
        field: str = "speaker",
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.speaker_encoder = fill(speaker_encoder, streams=streams)
        self.losses = nn.ModuleDict(fill_all(losses, dim=self.speaker_encoder.dim))
        self.views, self.field = nn.ModuleList(views), field

    def speakers(self, batch: Batch) -> Sequence[str]:
        """B names.

        Raises:
            UserError: the data has none.
        """
        if self.field not in batch:
            raise UserError(
                f"the data has no field '{self.field}'; add data.fields.{self.field}: "
                "{_target_: speechunits.data.fields.SpeakerField}"
            )
        return batch[self.field]  # type: ignore[no-any-return]

    def vectors(self, batch: Batch) -> Tensor:
        """(V, B, dim), one vector for each view of each utterance; hidden and distorted in training."""
        if not len(self.views):
            return self.speaker_encoder(batch, batch["draws"] if self.training else None)[None]
        field, out = self.speaker_encoder.input.field, []
        for i, view in enumerate(self.views):
            draws = batch["draws"].scoped(f"view:{i}")
            heard = {**batch, field: view(batch[field], draws)}
            out.append(self.speaker_encoder(heard, draws if self.training else None))
        return torch.stack(out)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted term, from names alone (see ``protocols.Trainable``)."""
        views, names = max(1, len(self.views)), self.speakers(batch)
        return {f"{n}/{k}": c for n, loss in self.losses.items() for k, c in loss.counts(views, names).items()}

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass for each view (see ``protocols.Trainable``)."""
        vectors, names = self.vectors(batch), self.speakers(batch)
        return {f"{n}/{k}": t for n, loss in self.losses.items() for k, t in loss(vectors, names).items()}

    def predict(self, batch: Batch) -> dict[str, Any]:
        """``voice``: (B, dim) of whole utterances."""
        return self.speaker_encoder.predict(batch)

    @property
    def labels(self) -> dict[str, str | None]:
        """Stored fields that it reads (see ``protocols.Finishes``)."""
        return self.speaker_encoder.labels

    def artefacts(self) -> dict[str, nn.Module]:
        """The encoder alone."""
        return {"speaker_encoder": self.speaker_encoder}
