"""PitchInput: the melody beside each frame."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.inputs.linear_pitch import LinearPitch
from speechunits.inputs.standard_prosody import StandardProsody
from speechunits.nn.speaker_prosody import SpeakerProsody
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class PitchInput(nn.Module):
    """A condition: a vector of the pitch of each frame, the voice taken out, as F0 of speech resynthesis (Polyak et al. 2021,
    arXiv:2104.00355, section 3.1). Reads ``batch[field]``, and ``batch["speaker"]`` where speakers were measured.

    Args:
        dim: of the vectors.
        reading: pitch (B, T) and voicing (B, T) to vectors, filled with ``dim``: ``LinearPitch``, which None is, or
            ``BinnedPitch``.
        speakers, field, streams: see ``StandardProsody``.
    """

    def __init__(
        self,
        dim: int,
        reading: Part[nn.Module] | None = None,
        speakers: SpeakerProsody | None = None,
        field: str = "prosody",
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.dim, self.prosody = dim, StandardProsody(speakers, field, streams=streams)
        self.reading = fill(reading or LinearPitch, dim=dim)

    @property
    def labels(self) -> dict[str, str | None]:
        """See ``StandardProsody``."""
        return self.prosody.labels

    def forward(self, batch: Batch, frames: Seq) -> Tensor:
        """``frames`` (B, T, ...) -> (B, T, dim); frames that have no prosody are unvoiced.

        Raises:
            ValueError: their hop and that of the prosody are in no integer ratio.
        """
        heard = self.prosody(batch).at(frames.hop, frames.data.size(1)).data
        return self.reading(heard[..., 0], heard[..., 1] > 0.5) * frames.valid[..., None]  # type: ignore[no-any-return]
