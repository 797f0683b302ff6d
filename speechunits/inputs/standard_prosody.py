"""Standard prosody of a batch: what all that hear or predict prosody read."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from speechunits.nn.prosody_scale import ProsodyScale, own_scale
from speechunits.nn.speaker_prosody import SpeakerProsody
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class StandardProsody(nn.Module):
    """Stored prosody without the voice: mean 0 and deviation 1 for each speaker, or for each utterance. Reads
    ``batch[field]``, and ``batch["speaker"]`` where speakers were measured.

    Args:
        speakers: what was measured of them (``recipes.fit_prosody``); None = each utterance, or what a crop left of it, is its
            own measure.
        field: of the prosody.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has no such field of prosody, or the speakers were measured by another.
    """

    def __init__(
        self, speakers: SpeakerProsody | None = None, field: str = "prosody", *, streams: Mapping[str, Stream]
    ) -> None:
        super().__init__()
        there = {name: stream for name, stream in streams.items() if stream.shape}
        if field not in there or there[field].shape != (3,):
            raise ValueError(
                f"the data has no field '{field}' of prosody; its vectors are: {', '.join(there) or 'none'}"
            )
        self.field, self.stream, self.speakers = field, there[field], speakers
        if speakers is not None and speakers.source not in ("", self.stream.fingerprint):
            raise ValueError(
                f"speakers were measured on the prosody {speakers.source}, the data has {self.stream.fingerprint}; run "
                "fit_prosody on it"
            )

    @property
    def labels(self) -> dict[str, str | None]:
        """The prosody must be that which it was made for (see ``protocols.Finishes``)."""
        return {self.field: self.stream.fingerprint}

    def scale(self, batch: Batch) -> ProsodyScale:
        """Of each utterance's speaker, or its own."""
        if self.speakers is None:
            return own_scale(batch[self.field])
        return self.speakers(batch["speaker"], batch.get(self.field))  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> Seq:
        """-> (B, T, 3)."""
        return self.scale(batch).standardise(batch[self.field])
