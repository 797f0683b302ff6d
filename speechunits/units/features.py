"""Features: the vectors that units are made of, from audio of any length."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn

from speechunits.config import build
from speechunits.encoder import SpeechEncoder
from speechunits.encoders.hidden import layer_of
from speechunits.errors import UserError
from speechunits.part import Tree
from speechunits.seq import Seq, pad


class Features(nn.Module):
    """Vectors of one place of an encoder, or of a frontend alone (MFCC).

    Audio longer than ``chunk`` seconds is encoded in windows that start on the frame grid and overlap by ``context``
    on both sides; only frames with that much context (or the utterance's own edge) are kept. Where the view of a
    frame is within ``context`` (frontends, convolutional encoders), chunks change nothing; an encoder with unlimited
    attention sees another window, so choose ``context`` of several seconds. Features normalised over the utterance
    (``LogMel(normalize="utterance")``, ``ConvFrontend(normalize_audio=True)``, group norm) are normalised per window.

    Args:
        source: a SpeechEncoder or a frontend.
        read: place in the encoder, e.g. "layer:6" (layers above it are not run); "clean" for a frontend.
        every: keep one of this many frames.
        pool: "first" of those frames, or their "mean".
        chunk: seconds of one window at most.
        context: seconds on both sides that are encoded and thrown away.
    """

    def __init__(
        self,
        source: nn.Module,
        read: str = "clean",
        every: int = 1,
        pool: Literal["first", "mean"] = "first",
        chunk: float = 60.0,
        context: float = 5.0,
    ) -> None:
        super().__init__()
        if not isinstance(source, SpeechEncoder) and not all(
            hasattr(source, name) for name in ("frames", "hop", "dim")
        ):
            raise ValueError(
                f"source is a {type(source).__name__}, which gives no frames: give a SpeechEncoder or a frontend"
            )
        self.source, self.read, self.every, self.pool = source, read, every, pool
        self.chunk, self.context = chunk, context
        self.frontend: nn.Module = source.frontend if isinstance(source, SpeechEncoder) else source
        if isinstance(source, SpeechEncoder):
            source.check_read(read)
        elif read != "clean":
            raise ValueError(f"a frontend has no '{read}'; only 'clean' can be read")
        self.depth = 0 if read in ("clean", "seen") else layer_of(read)
        if every < 1:
            raise ValueError(f"every is {every}; give 1 to keep every frame, 2 for half of them")
        if Fraction(chunk - 2 * context) < self.frontend.hop:  # type: ignore[operator]
            raise ValueError(f"chunk ({chunk} s) must be longer than twice the context ({context} s)")

    @property
    def hop(self) -> Fraction:
        """Seconds per vector."""
        return self.frontend.hop * self.every  # type: ignore[no-any-return, operator]

    @property
    def dim(self) -> int:
        """Length of each vector."""
        if isinstance(self.source, SpeechEncoder) and self.read != "clean":
            return self.source.dim
        return int(self.frontend.dim)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame."""
        return (self.dim,)

    def _window(self, audio: Seq) -> Seq:
        if not int(self.frontend.frames(torch.tensor([audio.data.size(1)]))):  # type: ignore[operator]
            nothing = audio.data.new_zeros(len(audio.data), 0, *self.shape)
            return Seq(nothing, torch.zeros_like(audio.lengths), self.frontend.hop)  # type: ignore[arg-type]
        return self._read(audio)

    def _read(self, audio: Seq) -> Seq:
        if isinstance(self.source, SpeechEncoder):
            return self.source(audio, depth=self.depth).read(self.read)
        return self.source(audio)  # type: ignore[no-any-return]

    def reduce(self, x: Seq) -> Seq:
        """Join ``every`` frames into one."""
        if self.every == 1:
            return x
        if self.pool == "first":
            return x.at(self.hop, -(-x.data.size(1) // self.every))
        t = x.data.size(1) // self.every * self.every
        data = x.data[:, :t].unflatten(1, (-1, self.every)).mean(2)
        return Seq(data, torch.div(x.lengths, self.every, rounding_mode="floor"), self.hop)

    def _alone(self, samples: Tensor, rate: Fraction) -> Tensor:
        """One utterance (S,) -> (T, D), over overlapping windows on the frame grid where it is long."""

        def frames(end: int) -> int:
            return int(self.frontend.frames(torch.tensor([end])))  # type: ignore[operator]

        def window(start: int, end: int) -> Tensor:
            part = samples[start:end]
            return self._window(Seq(part[None], torch.tensor([len(part)], device=part.device), rate)).data[0]

        if len(samples) * rate <= self.chunk:
            return window(0, len(samples))
        step = int(self.frontend.hop / rate)  # type: ignore[operator]
        keep = int(Fraction(self.chunk - 2 * self.context) / self.frontend.hop)  # type: ignore[operator]
        margin = int(Fraction(self.context) / self.frontend.hop)  # type: ignore[operator]
        total, out = frames(len(samples)), []
        for start in range(0, total, keep):
            first, last = max(start - margin, 0), min(start + keep + margin, total)
            end = last * step if last < total else len(samples)
            while frames(end) < last:  # a frame sees more than a hop
                end += step
            out.append(window(first * step, end)[start - first : start - first + min(keep, total - start)])
        return torch.cat(out)

    @torch.no_grad()
    def forward(self, audio: Seq) -> Seq:
        """(B, S) samples -> (B, T, D) vectors without gradient; none for audio that is shorter than the view of one frame."""
        if audio.data.size(1) * audio.hop <= self.chunk:  # type: ignore[operator]
            return self.reduce(self._window(audio))
        rows = [self._alone(row[:n], audio.hop) for row, n in zip(audio.data, audio.lengths.tolist(), strict=True)]  # type: ignore[arg-type]
        return self.reduce(pad(rows, self.frontend.hop))  # type: ignore[arg-type]


def build_features(tree: Tree) -> Features:
    """What a recipe's ``features`` build.

    Raises:
        UserError: it is something else.
    """
    made = build(tree, at="features")
    if not isinstance(made, Features):
        raise UserError(f"features: must build speechunits.units.features.Features, not {type(made).__name__}")
    return made
