"""UnitErrorRate: how many units change when the audio is augmented and the words are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from speechunits.errors import UserError
from speechunits.metrics.edit_distance import edit_distance
from speechunits.metrics.utterance_rows import UtteranceRows


class UnitErrorRate(UtteranceRows):
    """``uer``: unit edit distance in percent, 0 for units that augmentation leaves alone.

    Gat et al. 2023 (https://arxiv.org/abs/2209.15483), Definition 3.1: the Levenshtein distance between the units of
    clean and of augmented audio, both deduplicated, over the number of clean ones; the mean over utterances. The
    codebooks of one utterance are pooled: their distances and their lengths are added.
    Reads ``outputs["units"]``, ``outputs[augmented]``, both (B, T) or (B, T, K), and ``batch["ids"]``.

    Args:
        augmented: where the units of the augmented audio are.
        name: of the result; two augmentations are two Measures.
    """

    def __init__(self, augmented: str = "augmented_units", name: str = "uer") -> None:
        super().__init__()
        self.augmented = augmented
        self.name = name

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: an utterance has no clean units.
            ValueError: the two sides differ in codebooks.
        """
        ids = self.need(batch, "ids")
        clean, noisy = self.units(outputs, "units")[1], self.units(outputs, self.augmented)[1]
        streams = {x.size(1) for x in (*clean, *noisy)}
        if len(streams) > 1:
            raise ValueError(f"clean and augmented units have {sorted(streams)} codebooks: compare like with like")
        short = [[torch.unique_consecutive(s) for x in side for s in x.cpu().unbind(1)] for side in (clean, noisy)]
        distances = edit_distance(*short).view(len(clean), -1).sum(1)
        lengths = torch.tensor([len(x) for x in short[0]]).view(len(clean), -1).sum(1)
        for key, distance, length in zip(ids, distances, lengths, strict=True):
            if not length:
                raise UserError(f"{key}: no clean units, so no unit error rate; leave utterances this short out")
            self.put(key, edits=torch.stack([distance, length]))

    def compute(self) -> dict[str, float]:
        """The results over everything seen.

        Raises:
            UserError: no utterance was seen.
        """
        edits = torch.stack([r["edits"] for r in self.rows()]).double()
        return {self.name: float((edits[:, 0] / edits[:, 1]).mean()) * 100}
