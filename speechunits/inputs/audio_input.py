"""AudioInput: waveform to frames by a frontend."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.inputs.preparation import Preparation
from speechunits.part import Part
from speechunits.protocols import Batch
from speechunits.seq import Seq


class AudioInput(nn.Module):
    """Frames of a frontend, as a filterbank (``LogMel``). Reads ``batch[field]``.

    Args:
        frontend: audio to frames.
        norm, augment, subsampling: see ``Preparation``.
        field: of the audio.
    """

    def __init__(
        self,
        frontend: nn.Module,
        norm: Part[nn.Module] | None = None,
        augment: Part[nn.Module] | None = None,
        subsampling: Part[nn.Module] | None = None,
        field: str = "audio",
    ) -> None:
        super().__init__()
        self.frontend, self.field = frontend, field
        self.prepare = Preparation(norm, augment, subsampling, dim=int(frontend.dim), hop=frontend.hop)  # type: ignore[arg-type]
        self.dim, self.hop = self.prepare.dim, self.prepare.hop

    @property
    def labels(self) -> dict[str, str | None]:
        """Nothing that a tokenizer made."""
        return {}

    def _frames(self, batch: Batch) -> Tensor:
        return self.frontend.frames(batch[self.field].lengths)  # type: ignore[operator, no-any-return]

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.prepare.frames(self._frames(batch))

    def edges(self, batch: Batch) -> Tensor:
        """(B, T + 1) seconds at which those frames begin, and the last one ends."""
        return self.prepare.edges(self._frames(batch))

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws; None = all is heard as it is."""
        return self.prepare(self.frontend(batch[self.field]), draws)  # type: ignore[no-any-return]
