"""EncoderInput: waveform to the layers of a pre-trained encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.encoder import SpeechEncoder
from speechunits.encoders.hidden import layer_of
from speechunits.inputs.preparation import Preparation
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.tuning.frozen import Frozen


class EncoderInput(nn.Module):
    """Features of a SpeechEncoder, computed as they are needed (SUPERB, Yang et al. 2021, arXiv:2105.01051, section 3).
    Reads ``batch[field]``.

    An encoder of which nothing is trained stays in evaluation mode, gets no gradient and sees everything; one that is tuned
    hides what its own masker says.

    Args:
        encoder: usually ``store.restore`` of a folder.
        read: "final", "layer:N" (layers above are not run), or a part that joins all layers (``WeightedSum``,
            ``LayerConvolution``), filled with ``depth`` and ``dim``.
        tuning: what of the encoder is trained; None = ``Frozen()``, nothing.
        norm, augment, subsampling: of what was read, see ``Preparation``.
        field: of the audio.

    Raises:
        ValueError: the encoder has no such place.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        read: str | Part[nn.Module] = "final",
        tuning: Callable[[nn.Module], None] | None = None,
        norm: Part[nn.Module] | None = None,
        augment: Part[nn.Module] | None = None,
        subsampling: Part[nn.Module] | None = None,
        field: str = "audio",
    ) -> None:
        super().__init__()
        self.encoder, self.field = encoder, field
        (tuning or Frozen())(encoder)
        self.tuned = any(p.requires_grad for p in encoder.parameters())
        self.place = read if isinstance(read, str) else None
        self.joined = None if isinstance(read, str) else fill(read, depth=encoder.depth, dim=encoder.dim)
        self.depth = None if self.place is None else layer_of(self.place)
        if self.place not in (None, "final"):
            encoder.check_read(self.place)
            if self.depth is None:
                raise ValueError(f"read: '{self.place}' is no layer of the encoder; give final or layer:N")
        dim = int(getattr(self.joined, "dim", encoder.dim))
        self.prepare = Preparation(norm, augment, subsampling, dim=dim, hop=encoder.hop)
        self.dim, self.hop = self.prepare.dim, self.prepare.hop

    def train(self, mode: bool = True) -> EncoderInput:
        """An encoder of which nothing is trained stays in evaluation mode."""
        super().train(mode)
        if not self.tuned:
            self.encoder.eval()
        return self

    @property
    def labels(self) -> dict[str, str | None]:
        """Nothing that a tokenizer made."""
        return {}

    def _frames(self, batch: Batch) -> Tensor:
        return self.encoder.frontend.frames(batch[self.field].lengths)  # type: ignore[operator, no-any-return]

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.prepare.frames(self._frames(batch))

    def edges(self, batch: Batch) -> Tensor:
        """(B, T + 1) seconds at which those frames begin, and the last one ends."""
        return self.prepare.edges(self._frames(batch))

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws; None = all is heard as it is."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.tuned):
            look = self.encoder(batch[self.field], draws if self.tuned else None, depth=self.depth)
        if self.joined is None:
            return self.prepare(look.read(self.place), draws)  # type: ignore[no-any-return]
        return self.prepare(look.clean.with_data(self.joined(look.hidden.layers)), draws)  # type: ignore[no-any-return]
