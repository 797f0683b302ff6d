"""AudioInput: waveform to frames by a frontend."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.protocols import Batch
from speechunits.seq import Seq


class AudioInput(nn.Module):
    """Frames of a frontend, as a filterbank (``LogMel``). Reads ``batch[field]``.

    Args:
        frontend: audio to frames.
        field: of the audio.
    """

    def __init__(self, frontend: nn.Module, field: str = "audio") -> None:
        super().__init__()
        self.frontend, self.field = frontend, field
        self.dim = int(frontend.dim)  # type: ignore[arg-type]

    @property
    def labels(self) -> dict[str, str | None]:
        """Nothing that a tokenizer made."""
        return {}

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.frontend.frames(batch[self.field].lengths)  # type: ignore[operator, no-any-return]

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws; None = all is heard as it is."""
        return self.frontend(batch[self.field])  # type: ignore[no-any-return]
