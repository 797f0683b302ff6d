"""Features: the vectors that units are made of, from audio of any length."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn

from speechunits.encoder import SpeechEncoder
from speechunits.seq import Seq, pad


class Features(nn.Module):
    """Vectors of one place of an encoder, or of a frontend alone (MFCC).

    Audio longer than ``chunk`` seconds is encoded in windows that start on the frame grid and overlap by ``context``
    on both sides; only frames with that much context (or the utterance's own edge) are kept. Where the view of a
    frame is within ``context`` (frontends, convolutional encoders), chunks change nothing; an encoder with unlimited
    attention sees another window, so choose ``context`` of several seconds. Features normalised over the utterance
    (``LogMel(normalize="utterance")``, group norm) are normalised per window.

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
        self.source, self.read, self.every, self.pool = source, read, every, pool
        self.chunk, self.context = chunk, context
        self.frontend: nn.Module = source.frontend if isinstance(source, SpeechEncoder) else source
        if not isinstance(source, SpeechEncoder) and read != "clean":
            raise ValueError(f"a frontend has no '{read}'; only 'clean' can be read")
        kind, _, layer = read.partition(":")
        self.depth = int(layer) if kind == "layer" else None
        if self.depth is not None and isinstance(source, SpeechEncoder) and self.depth > source.depth:
            raise ValueError(f"'{read}': the encoder has layers 0 to {source.depth}")
        if chunk <= 2 * context:
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

    def _window(self, audio: Seq) -> Seq:
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

    def _long(self, samples: Tensor, rate: Fraction) -> Tensor:
        """(S,) -> (T, D) over overlapping windows on the frame grid."""
        step = int(self.frontend.hop / rate)  # type: ignore[operator]
        frames = int(self.frontend.frames(torch.tensor([len(samples)])))  # type: ignore[operator]
        keep = int(Fraction(self.chunk - 2 * self.context) / self.frontend.hop)  # type: ignore[operator]
        margin = int(Fraction(self.context) / self.frontend.hop)  # type: ignore[operator]
        out = []
        for start in range(0, frames, keep):
            first, last = max(start - margin, 0), min(start + keep + margin, frames)
            end = len(samples) if last == frames else last * step
            window = samples[first * step : end]
            x = self._window(Seq(window[None], torch.tensor([len(window)], device=samples.device), rate)).data[0]
            out.append(x[start - first : start - first + min(keep, frames - start)])
        return torch.cat(out)

    def forward(self, audio: Seq) -> Seq:
        """(B, S) samples -> (B, T, D) vectors."""
        if audio.data.size(1) * audio.hop <= self.chunk:  # type: ignore[operator]
            return self.reduce(self._window(audio))
        rows = [self._long(row[:n], audio.hop) for row, n in zip(audio.data, audio.lengths.tolist(), strict=True)]  # type: ignore[arg-type]
        return self.reduce(pad(rows, self.frontend.hop))  # type: ignore[arg-type]
