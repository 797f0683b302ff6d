"""SpeechEncoder: waveform to hidden layers. What is trained, tokenised with, probed and taught from is always this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.encoders.hidden import Hidden, check_read
from speechunits.part import Part, fill
from speechunits.seq import Seq


@dataclass(frozen=True)
class Frames:
    """What is known of a pass before it runs: from lengths and draws alone.

    Args:
        valid: (B, T) bool, real frames.
        masked: (B, T) bool, hidden from the encoder.
        hop: seconds per frame.
    """

    valid: Tensor
    masked: Tensor
    hop: Fraction

    def pick(self, which: str) -> Tensor:
        """(B, T) bool: the real frames that are "masked", "unmasked" or "all"."""
        if which == "all":
            return self.valid
        return self.valid & (self.masked if which == "masked" else ~self.masked)


@dataclass(frozen=True)
class Pass:
    """Everything one look at the audio produced. Objectives read it; nothing writes it.

    Args:
        clean: frontend output, unmasked.
        seen: what the encoder was given.
        frames: which frames are real and which were hidden.
        hidden: the encoder's layers.
        aux: further outputs of the masker.
    """

    clean: Seq
    seen: Seq
    frames: Frames
    hidden: Hidden
    aux: Mapping[str, Tensor] = field(default_factory=dict)

    def read(self, where: str) -> Seq:
        """ "final", "layer:9", "ffn:9" (of a pass that kept it), "branch:slow", "clean" or "seen", as (B, T, D).

        Raises:
            ValueError: there is no such place.
        """
        if where in ("clean", "seen"):
            return self.clean if where == "clean" else self.seen
        return self.hidden.read(where)


class SpeechEncoder(nn.Module):
    """frontend -> projection -> masker -> encoder.

    Args:
        frontend: audio to frames.
        encoder: frames to Hidden.
        projection: frontend features to the encoder's dimension, filled with ``dim_in`` and ``dim``; None where the
            frontend already gives that dimension.
        masker: filled with ``dim``; None for encoders that are only used.

    Raises:
        ValueError: the dimensions do not meet.
    """

    def __init__(
        self,
        frontend: nn.Module,
        encoder: Part[nn.Module],
        projection: Part[nn.Module] | None = None,
        masker: Part[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.frontend = frontend
        self.encoder = fill(encoder, dim_in=frontend.dim)
        dim_in = self.encoder.dim_in
        if projection is None and frontend.dim != dim_in:
            raise ValueError(
                f"the frontend gives {frontend.dim} features and the encoder takes {dim_in}: add projection: "
                "{_target_: speechunits.nn.projection.FeatureProjection}"
            )
        self.projection = None if projection is None else fill(projection, dim_in=frontend.dim, dim=dim_in)
        self.masker = None if masker is None else fill(masker, dim=dim_in)

    @property
    def dim(self) -> int:
        """Features of the final output."""
        return int(self.encoder.dim)

    @property
    def depth(self) -> int:
        """Layers that can be read as ``layer:1`` ... ``layer:depth``."""
        return int(self.encoder.depth)

    def check_read(self, where: str, ffn: bool = False) -> None:
        """Whether a pass (of a teacher, which keeps ``ffn``) will have ``where``: known before the first one.

        Raises:
            ValueError: it will not.
        """
        kept = ffn and getattr(self.encoder, "gives_ffn", False)
        if where not in ("clean", "seen"):
            check_read(where, self.depth, getattr(self.encoder, "branches", ()), kept)

    @property
    def hop(self) -> Fraction:
        """Seconds per frame."""
        return self.frontend.hop  # type: ignore[no-any-return]

    def frames(self, audio: Seq, draws: Draws | None = None, purpose: str = "mask") -> Frames:
        """Real and hidden frames of ``audio`` (B, S) without running anything; no draws = nothing hidden."""
        lengths = self.frontend.frames(audio.lengths)
        width = int(self.frontend.frames(torch.tensor([audio.data.size(1)])))
        valid = torch.arange(width, device=lengths.device) < lengths[:, None]
        if draws is None or self.masker is None:
            return Frames(valid, torch.zeros_like(valid), self.hop)
        return Frames(valid, self.masker.draw(lengths, width, draws, purpose), self.hop)

    def forward(self, audio: Seq, draws: Draws | None = None, purpose: str = "mask", depth: int | None = None) -> Pass:
        """Encode ``audio`` (B, S).

        Args:
            draws: hide frames by these draws; None = the encoder sees everything.
            purpose: names the draw, so that two views of one utterance are hidden differently.
            depth: stop after this many layers (unit extraction needs no more).
        """
        clean = self.frontend(audio)
        seen = clean if self.projection is None else self.projection(clean)
        aux: dict[str, Tensor] = {}
        masked = None
        if draws is not None and self.masker is not None:
            seen, masked, aux = self.masker(seen, draws, purpose)
        valid = clean.valid
        frames = Frames(valid, torch.zeros_like(valid) if masked is None else masked, self.hop)
        hidden = self.encoder(seen) if depth is None else self.encoder(seen, depth=depth)
        return Pass(clean, seen, frames, hidden, aux)
