"""VoiceField: the stored vector of a cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.fields.features_field import FeaturesField
from speechunits.data.stored_frames import StoredFrames
from speechunits.errors import UserError


@dataclass(frozen=True)
class VoiceField(FeaturesField):
    """The speaker vector (D,), float32, that ``recipes.embed_speakers`` stored under ``cut.custom[key]``; batches are tensors
    (B, D). A part of a cut has the vector of the whole.
    """

    key: str = "voice"

    timed: ClassVar[bool] = False
    holds: ClassVar[str] = "voices"

    def load(self, cut: Cut) -> Tensor:
        assert self.stream is not None, "bind the field to its cuts first"
        vectors = StoredFrames(self.key, None, self.holds, "vectors", aligned=False).load(cut)
        if vectors.shape != (1, *self.stream.shape):
            raise UserError(
                f"{self.key} of the cut {cut.id} has the shape {vectors.shape}, not {(1, *self.stream.shape)}; store the "
                "voices again"
            )
        return torch.from_numpy(vectors[0].astype(np.float32))

    def collate(self, items: list[Tensor]) -> Any:
        return torch.stack(items)
