"""Reading: what was said in one utterance and what was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from speechunits.errors import UserError, some


@dataclass(frozen=True)
class Reading:
    """One utterance, as it came.

    Args:
        speaker, language: "" where unknown.
        more: what else is known of what was heard (n-best, confidence); plain values.
    """

    id: str
    said: str
    heard: str
    speaker: str = ""
    language: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def pair(said: Mapping[str, Any], heard: Mapping[str, Any], names: tuple[str, str]) -> list[Reading]:
    """Readings out of id -> transcript of both sides (``text``, and of what was said ``speaker`` and ``language``).

    Args:
        names: of the two files, for the error messages.

    Raises:
        UserError: an id is on one side only.
    """
    for one, other, (name, beside), what in (
        (said, heard, names, "hypothesis"),
        (heard, said, names[::-1], "reference"),
    ):
        if alone := sorted(one.keys() - other.keys()):
            raise UserError(
                f"{name}: {len(alone)} of {len(one)} utterances have no {what} in {beside} ({some(alone)}); add them there, "
                "or leave them out here"
            )
    return [Reading(name, x.text, heard[name].text, x.speaker, x.language) for name, x in sorted(said.items())]


def batch_of(readings: Sequence[Reading]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs and batch for a measure of text (``WER.update``)."""
    batch = {"ids": [r.id for r in readings], "transcript": [r.said for r in readings]}
    batch |= {"speakers": [r.speaker for r in readings], "languages": [r.language for r in readings]}
    return {"text": [r.heard for r in readings]}, batch
