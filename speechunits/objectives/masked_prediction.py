"""Predict the code of a frame, usually of a hidden one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.encoder import Frames, Pass
from speechunits.objectives.passes import Passes
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.term import Term


def _exact(scores: Tensor) -> Tensor:
    """float32, or float64 where it is that already."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


class MaskedPrediction(nn.Module):
    """Cross-entropy of codes at masked frames (HuBERT, Hsu et al. 2021, eq. 1 and 2), summed and counted exactly.

    The frames are gathered first, so the head is one GEMM over what is scored; scores are at least float32. Several
    label sets are several objectives; an intermediate-layer loss is one with ``read="layer:4"``.

    Args:
        target: where codes come from; filled with ``streams``, ``hop`` and ``dim``.
        head: frames to scores; filled with ``dim`` and ``vocab``.
        read: where the answer is read: "final", "layer:N", "branch:NAME".
        frames: which real frames are scored: "masked", "unmasked" or "all".
        unmasked_weight: beside the masked frames, also score the unmasked ones with this weight, as a mean of their own
            (HuBERT's alpha: 1 - this; 0 = do not).
        weight: in the loss.
        dim, hop, streams: supplied by the model.

    Raises:
        ValueError: ``unmasked_weight`` where ``frames`` are not the masked ones: unmasked frames would be scored twice.
    """

    def __init__(
        self,
        target: Part[nn.Module],
        head: Part[nn.Module],
        read: str = "final",
        frames: Literal["masked", "unmasked", "all"] = "masked",
        unmasked_weight: float = 0.0,
        weight: float = 1.0,
        *,
        dim: int,
        hop: Fraction,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        if unmasked_weight and frames != "masked":
            raise ValueError(
                f"unmasked_weight goes with frames: masked alone, and frames is {frames}: delete one of the two"
            )
        self.target = fill(target, streams=streams, hop=hop, dim=dim)
        self.vocab: tuple[int, ...] = self.target.vocab
        self.head = fill(head, dim=dim, vocab=self.vocab)
        self.read, self.weight = read, weight
        self.parts = {frames: ("", weight)}
        if unmasked_weight:
            self.parts["unmasked"] = ("unmasked_", unmasked_weight)

    @staticmethod
    def _aligned(codes: Seq, frames: Frames) -> tuple[Tensor, Tensor]:
        """Codes (B, T, K) and which frames have one (B, T), on the grid of ``frames``."""
        on_grid = codes.at(frames.hop, frames.valid.size(1))
        data = on_grid.data if on_grid.data.dim() == 3 else on_grid.data[..., None]
        return data, on_grid.valid & (data >= 0).all(-1)

    def counts(self, frames: Sequence[Frames], batch: Batch) -> dict[str, Tensor]:
        """Scored frames per term, before any pass."""
        out: dict[str, Tensor] = {}
        for view in frames:
            _, known = self._aligned(self.target.lengths(batch), view)
            for which, (prefix, _) in self.parts.items():
                den = (view.pick(which) & known).sum() * len(self.vocab)
                out[f"{prefix}ce"] = out.get(f"{prefix}ce", torch.zeros_like(den)) + den
        return out

    def forward(self, passes: Passes, batch: Batch) -> dict[str, Term]:
        """``ce`` (nats per frame and codebook) and ``accuracy``; ``unmasked_ce`` ... for the other frames."""
        out: dict[str, Term] = {}
        for look in passes.student:
            answer = look.read(self.read).data
            codes, known = self._aligned(self.target(passes, batch), look.frames)
            for which, (prefix, weight) in self.parts.items():
                keep = look.frames.pick(which) & known
                scores, truth = self.head(answer[keep]), codes[keep]
                ce = sum(
                    (F.cross_entropy(_exact(s), truth[:, k], reduction="sum") for k, s in enumerate(scores)),
                    start=torch.zeros((), device=answer.device),
                )
                hits = sum(
                    ((s.argmax(-1) == truth[:, k]).sum() for k, s in enumerate(scores)),
                    start=keep.new_zeros((), dtype=torch.int64),
                )
                den = keep.sum() * len(self.vocab)
                for name, num, w in ((f"{prefix}ce", ce, weight), (f"{prefix}accuracy", hits, 0.0)):
                    seen = out.get(name)
                    out[name] = Term(num, den, w) if seen is None else Term(seen.num + num, seen.den + den, w)
        return out

    @torch.no_grad()
    def predict(self, look: Pass) -> Seq:
        """The likeliest code of every frame, (B, T, K), -1 on padding: units without a k-means."""
        answer = look.read(self.read)
        scores = self.head(answer.data.flatten(0, 1))
        codes = torch.stack([s.argmax(-1) for s in scores], -1).view(*answer.data.shape[:2], len(scores))
        return answer.with_data(codes.masked_fill(~answer.valid[..., None], -1))
