"""Classification of vectors by their angle to one vector of each class, with a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.term import Term


class MarginSoftmax(nn.Module):
    """Softmax over scaled cosines, that of the right class made smaller first, so that classes move apart.

    "cosine": cos - m, the additive margin (Wang et al. 2018, arXiv:1801.05599, equation 6). "angle": cos(angle + m), the
    additive angular margin (Deng et al. 2019, arXiv:1801.07698, equation 3); beyond angle = pi - m, where that would grow
    again, cos - m sin(m), as in the authors' code.

    Args:
        names: of the classes (``text.names``); a speaker who is not among them is its error.
        margin: m. scale: s of both papers.
        added_to: what the margin is added to (taken from a cosine).
        weight: of the loss.
        dim: of the vectors, supplied by the parent.

    Raises:
        ValueError: the margin is no angle of less than a right one, or the scale is not above 0.
    """

    def __init__(
        self,
        names: nn.Module,
        margin: float = 0.2,
        scale: float = 30.0,
        added_to: Literal["angle", "cosine"] = "angle",
        weight: float = 1.0,
        *,
        dim: int,
    ) -> None:
        super().__init__()
        if not 0 <= margin < math.pi / 2 or scale <= 0:
            raise ValueError(f"margin={margin}, scale={scale}: give a margin from 0 to below 1.57 and a scale above 0")
        self.names: Any = names
        self.margin, self.scale, self.added_to, self.weight = margin, scale, added_to, weight
        self.classes = nn.Parameter(torch.randn(len(self.names.names), dim))

    def counts(self, views: int, speakers: Sequence[str]) -> dict[str, Tensor]:
        """Vectors in the loss, from their number alone."""
        return {"loss": torch.tensor(views * len(speakers))}

    def smaller(self, cosines: Tensor) -> Tensor:
        """Cosines to the right class, of any shape, as the loss takes them."""
        if self.added_to == "cosine":
            return cosines - self.margin
        sines = (1 - cosines.square()).clamp(min=1e-8).sqrt()
        turned = cosines * math.cos(self.margin) - sines * math.sin(self.margin)
        return torch.where(cosines > -math.cos(self.margin), turned, cosines - self.margin * math.sin(self.margin))

    def forward(self, vectors: Tensor, speakers: Sequence[str]) -> dict[str, Term]:
        """Unit vectors (V, B, dim), V views of each of B utterances -> ``loss`` (nats per vector) and ``accuracy`` (without
        the margin; shown).

        Raises:
            UserError: a speaker has no class.
        """
        targets = self.names.numbers(speakers, "speaker").to(vectors.device).repeat(len(vectors))
        with torch.autocast(vectors.device.type, enabled=False):
            x = vectors.flatten(0, 1)
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            cosines = x @ F.normalize(self.classes.to(x.dtype), dim=-1).T
            own = self.smaller(cosines.gather(1, targets[:, None]))
            nats = F.cross_entropy(self.scale * cosines.scatter(1, targets[:, None], own), targets, reduction="sum")
        count = torch.full_like(nats, len(targets))
        right = (cosines.argmax(1) == targets).sum()
        return {"loss": Term(nats, count, self.weight), "accuracy": Term(right, count, 0.0)}
