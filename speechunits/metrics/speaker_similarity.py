"""SpeakerSimilarity: whose voice what was made has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from speechunits.errors import UserError, some
from speechunits.metrics.utterance_ratios import NONE, UtteranceRatios, mean
from speechunits.metrics.utterance_rows import UtteranceRows


def unit_length(vectors: Tensor) -> Tensor:
    """(..., D) -> the same directions, float64, of length one."""
    x = vectors.double()
    return x / x.norm(dim=-1, keepdim=True)


def vectors(measure: UtteranceRows, source: Mapping[str, Any], key: str, ids: Sequence[str]) -> Tensor:
    """``source[key]`` (B, D), on the CPU.

    Raises:
        UserError: it is missing, or a vector is null or not finite.
    """
    found: Tensor = measure.need(source, key).detach().cpu()
    for name, vector in zip(ids, found, strict=True):
        if not bool(vector.isfinite().all()) or not bool(vector.any()):
            raise UserError(f"{name}: its speaker vector is null or not finite; leave the utterance out")
    return found


def enrol(voices: Tensor, speakers: Sequence[str]) -> dict[str, Tensor]:
    """Speaker -> the direction (D,) of the mean of their unit vectors, by name.

    Args:
        voices: (N, D).
        speakers: N names.
    """
    x = unit_length(voices)
    names = sorted(set(speakers))
    return {n: unit_length(x[torch.tensor([s == n for s in speakers])].mean(0)) for n in names}


class SpeakerSimilarity(UtteranceRatios):
    """Cosines of speaker vectors: ``similarity_target`` to the speaker who should be heard; ``similarity_source`` to the one
    who spoke the original, where that is another; ``similarity_original`` to the original itself, where it is the same.
    ``nearest_target`` is the percentage of utterances that are nearer to the target than to any other enrolled speaker, and
    ``nearest_source``, of those where they differ, nearest to the source.

    Reads ``outputs["voice"]`` (B, D), ``batch["speaker"]``, B names of targets, ``batch["ids"]`` and, where there is an
    original, ``batch["voice"]`` (B, D) of it and ``batch["source"]``, B names of who spoke it ("" = unknown).

    Args:
        enrolled: speaker -> vector (D,), as ``enrol`` makes them. Utterances that are judged should not be among theirs.

    Raises:
        ValueError: fewer than two speakers are enrolled, among whom nobody is nearest.
    """

    def __init__(self, enrolled: Mapping[str, Tensor]) -> None:
        super().__init__()
        if len(enrolled) < 2:
            raise ValueError(
                f"{len(enrolled)} speaker(s) are enrolled, and of fewer than two none is nearest; enrol more"
            )
        self.names = list(enrolled)
        self.enrolled = unit_length(torch.stack(list(enrolled.values())).cpu())

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: a field is missing, a vector is null or not finite, or a speaker is not enrolled.
        """
        ids, targets = self.need(batch, "ids"), self.need(batch, "speaker")
        sources = batch.get("source") or [""] * len(ids)
        if strange := sorted({*targets, *filter(None, sources)} - {*self.names}):
            raise UserError(
                f"{some([*map(repr, strange)])}: not among the {len(self.names)} enrolled speakers; enrol them"
            )
        made = unit_length(vectors(self, outputs, "voice", ids))
        original = unit_length(vectors(self, batch, "voice", ids)) if "voice" in batch else None
        cosines = made @ self.enrolled.T
        for number, (target, source) in enumerate(zip(targets, sources, strict=True)):
            row, at = cosines[number], self.names.index(target)
            nearest = self.names[int(row.argmax())]
            moved = bool(source) and source != target
            own = None if original is None or moved else float(made[number] @ original[number])
            self.keep(
                batch,
                number,
                similarity_target=mean(float(row[at])),
                similarity_source=mean(float(row[self.names.index(source)])) if moved else NONE,
                similarity_original=NONE if own is None else mean(own),
                nearest_target=mean(100.0 * (nearest == target)),
                nearest_source=mean(100.0 * (nearest == source)) if moved else NONE,
            )
