"""EnergyInput: the loudness beside each frame."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.inputs.standard_prosody import StandardProsody
from speechunits.nn.speaker_prosody import SpeakerProsody
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class EnergyInput(nn.Module):
    """A condition: a linear map of the standard ln energy of each frame (energy as in FastSpeech 2, Ren et al. 2021,
    arXiv:2006.04558, section 2.3, of the waveform in place of its spectrum). Reads what ``PitchInput`` reads.

    Args:
        dim: of the vectors.
        speakers, field, streams: see ``StandardProsody``; measured by the utterance itself, its level is not heard.
    """

    def __init__(
        self,
        dim: int,
        speakers: SpeakerProsody | None = None,
        field: str = "prosody",
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.dim, self.prosody = dim, StandardProsody(speakers, field, streams=streams)
        self.linear = nn.Linear(1, dim)

    @property
    def labels(self) -> dict[str, str | None]:
        """See ``StandardProsody``."""
        return self.prosody.labels

    def forward(self, batch: Batch, frames: Seq) -> Tensor:
        """``frames`` (B, T, ...) -> (B, T, dim); frames that have no prosody are as loud as the mean.

        Raises:
            ValueError: their hop and that of the prosody are in no integer ratio.
        """
        heard = self.prosody(batch).at(frames.hop, frames.data.size(1)).data[..., 2:]
        return self.linear(heard.to(self.linear.weight.dtype)) * frames.valid[..., None]  # type: ignore[no-any-return]
