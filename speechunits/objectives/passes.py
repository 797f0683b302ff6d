"""Passes: what the objectives of one step may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speechunits.encoder import Pass


@dataclass(frozen=True)
class Passes:
    """Args:
    student: one per view.
    teacher: of the same audio, unmasked; None without a teacher.
    """

    student: Sequence[Pass]
    teacher: Pass | None = None
