"""Predict the code of a frame, usually of a hidden one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits import ranks
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
        target: where codes come from; filled with ``streams``, ``hop``, ``dim`` and ``depth``.
        head: frames to scores; filled with ``dim`` and ``vocab``.
        read: where the answer is read: "final", "layer:N", "branch:NAME".
        frames: which real frames are scored: "masked", "unmasked" or "all".
        unmasked_weight: beside the masked frames, also score the unmasked ones with this weight, as a mean of their own
            (HuBERT's alpha: 1 - this; 0 = do not).
        weight: in the loss.
        dim, hop, streams, depth: supplied by the model.

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
        depth: int = 0,
    ) -> None:
        super().__init__()
        if unmasked_weight and frames != "masked":
            raise ValueError(
                f"unmasked_weight goes with frames: masked alone, and frames is {frames}: delete one of the two"
            )
        self.target = fill(target, streams=streams, hop=hop, dim=dim, depth=depth)
        self.vocab: tuple[int, ...] = self.target.vocab
        self.head = fill(head, dim=dim, vocab=self.vocab)
        self.read, self.weight = read, weight
        self.parts = {frames: ("", weight)}
        if unmasked_weight:
            self.parts["unmasked"] = ("unmasked_", unmasked_weight)
        # (2, K, V): how often each code was the truth, and the answer; so far, and in the last update
        self._used: Tensor | None = None
        self._shown: Tensor | None = None

    @property
    def teacher_reads(self) -> Sequence[str]:
        """What the target reads of the teacher."""
        return getattr(self.target, "reads", ())

    @staticmethod
    def _aligned(codes: Seq | None, frames: Frames) -> tuple[Tensor, Tensor]:
        """Codes (B, T, K) and which frames have one (B, T), on the grid of ``frames``; None = every real frame will."""
        if codes is None:
            return torch.empty(0), frames.valid
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
        target = self.target(passes, batch)
        for look in passes.student:
            answer = look.read(self.read).data
            codes, known = self._aligned(target, look.frames)
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
                if self.training and not prefix:
                    self._count(truth, torch.stack([s.argmax(-1) for s in scores], -1))
                den = keep.sum() * len(self.vocab)
                for name, num, w in ((f"{prefix}ce", ce, weight), (f"{prefix}accuracy", hits, 0.0)):
                    seen = out.get(name)
                    out[name] = Term(num, den, w) if seen is None else Term(seen.num + num, seen.den + den, w)
        return out

    @torch.no_grad()
    def _count(self, truth: Tensor, answer: Tensor) -> None:
        """Codes (N, K) of the scored frames."""
        if self._used is None:
            self._used = torch.zeros(2, len(self.vocab), max(self.vocab), device=truth.device)
        for row, codes in zip(self._used, (truth, answer), strict=True):
            row.scatter_add_(1, codes.T, torch.ones_like(codes.T, dtype=row.dtype))

    def forget(self) -> None:
        """Drop the counts of an update that is left out."""
        self._used = None

    def on_step(self, step: int, root: nn.Module) -> None:
        """Keep the counts of this update for ``figures``."""
        self._shown, self._used = self._used, None

    def figures(self) -> dict[str, float]:
        """``target_perplexity`` and ``answer_perplexity``: 2 to the entropy of the codes scored in the last update, over
        all ranks, mean over codebooks; V = all used alike, 1 = collapsed, nan = nothing was scored. Every rank must call it.
        """
        if (used := self._shown) is None:
            used = torch.zeros(2, len(self.vocab), max(self.vocab), device=next(self.head.parameters()).device)
        share = ranks.add(used.clone()).double()
        share = share / share.sum(-1, keepdim=True)
        target, answer = torch.exp2(-torch.special.xlogy(share, share).sum(-1) / math.log(2)).mean(-1).tolist()
        return {"target_perplexity": target, "answer_perplexity": answer}

    @torch.no_grad()
    def predict(self, look: Pass) -> Seq:
        """The likeliest code of every frame, (B, T, K), -1 on padding: units without a k-means."""
        answer = look.read(self.read)
        scores = self.head(answer.data.flatten(0, 1))
        codes = torch.stack([s.argmax(-1) for s in scores], -1).view(*answer.data.shape[:2], len(scores))
        return answer.with_data(codes.masked_fill(~answer.valid[..., None], -1))
