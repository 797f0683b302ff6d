"""FeatureWriter: vectors of cuts -> a new manifest that carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.cut import Cut

from speechunits.data.array_writer import ArrayWriter
from speechunits.errors import UserError


class FeatureWriter(ArrayWriter):
    """Vectors (T, ``*shape``) in float16, which keeps them to one part in 2000, see ``ArrayWriter``.

    Args:
        manifest: path of the new ``.jsonl.gz``.
        hop: seconds per frame; None where there is one vector for a cut, (1, ``*shape``).
        shape: of one, (D,) or (L, D) of several layers. fingerprint: of the features.
        field: name under which the vectors are stored.
        derived_from: fingerprints or names of what the features were made from.
        others: meta of fields that the cuts carry already (``read_meta`` of their manifest).
    """

    kind, source, dtype = "vectors", "features", np.dtype(np.float16)

    def __init__(
        self,
        manifest: str | Path,
        hop: Fraction | None,
        shape: Sequence[int],
        fingerprint: str,
        field: str = "features",
        derived_from: Sequence[str] = (),
        others: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.shape = tuple(shape)
        super().__init__(
            manifest, hop, {"shape": list(self.shape), "fingerprint": fingerprint}, field, derived_from, others
        )

    def checked(self, cut: Cut, array: np.ndarray) -> np.ndarray:
        if array.shape[1:] != self.shape:
            raise UserError(f"vectors of the cut {cut.id} have the shape {array.shape[1:]}, not {self.shape}")
        with np.errstate(over="ignore"):
            stored = array.astype(self.dtype)
        if not np.isfinite(stored).all():
            raise UserError(
                f"vectors of the cut {cut.id} have NaN or numbers beyond 65504, which float16 cannot hold; look at the "
                "encoder, or store another layer of it"
            )
        return stored
