"""UnitEdits: how far units that were written are from those that were said."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

import torch

from speechunits.metrics.edit_distance import edit_counts
from speechunits.metrics.utterance_rows import UtteranceRows


class UnitEdits(UtteranceRows):
    """``uer``, ``insertions``, ``deletions`` and ``substitutions`` of units in percent, with ``exact``, the percentage of
    utterances without an edit.

    Runs are merged on both sides, so that models that write frames and models that write deduplicated units are compared.
    Edits of all utterances over units of all references: a ratio of sums. Reads ``outputs["units"]`` (``Units``),
    ``batch[reference]``, (B, T), and ``batch["ids"]``.

    Args:
        reference: the field of the units that were said.
    """

    def __init__(self, reference: str = "units") -> None:
        super().__init__()
        self.reference = reference

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            ValueError: a side has several codebooks.
        """
        written = {"units": self.need(outputs, "units").ids}
        sides = [self.units(batch, self.reference)[1], self.units(written, "units")[1]]
        if any(x.size(1) != 1 for side in sides for x in side):
            raise ValueError("units of several codebooks have no one edit distance; measure one of them")
        said, found = ([torch.unique_consecutive(x[:, 0].cpu()) for x in side] for side in sides)
        for key, edits, units in zip(self.need(batch, "ids"), edit_counts(said, found), said, strict=True):
            self.put(key, edits=torch.cat([edits, edits.new_tensor([len(units)])]))

    def compute(self) -> dict[str, float]:
        """The results over everything seen; nan where no reference has a unit.

        Raises:
            UserError: no utterance was seen.
        """
        edits = torch.stack([row["edits"] for row in self.rows()])
        *kinds, size = edits.sum(0).tolist()
        shares = [100 * count / size if size else nan for count in (sum(kinds), *kinds)]
        exact = 100 * float((edits[:, :3].sum(1) == 0).double().mean())
        return {**dict(zip(("uer", "insertions", "deletions", "substitutions"), shares, strict=True)), "exact": exact}
