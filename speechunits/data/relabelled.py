"""A manifest of the same cuts with other text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lhotse import MonoCut, MultiCut, SupervisionSegment
from lhotse.cut import Cut
from lhotse.utils import fastcopy

from speechunits.data.cuts import Cuts, write_cuts
from speechunits.data.transcripts import voice
from speechunits.data.unit_meta import read_meta
from speechunits.errors import UserError


def write_relabelled(path: str | Path, cuts: Cuts, texts: Mapping[str, tuple[str, float]]) -> None:
    """``path``, a ``.jsonl.gz``, with the cuts that ``texts`` names, in their order, and its ``.meta.json``.

    Each keeps its id, speaker, language, audio and what is stored of it; its supervisions become one with the text, and
    ``custom["confidence"]`` says how sure of it the labeller was.

    Args:
        texts: id -> text, confidence.

    Raises:
        UserError: a cut is mixed of several, or the place cannot be written.
    """
    fields = {name: about for part in cuts.paths for name, about in read_meta(part).items()}
    names = (cuts.id(row) for row in range(len(cuts)))
    made = (relabelled(cuts[cuts.row(name)], *texts[name]) for name in names if name in texts)
    write_cuts(path, made, fields)


def relabelled(cut: Cut, text: str, confidence: float) -> Cut:
    """The same cut, of which somebody says that this was said.

    Raises:
        UserError: it is mixed of several.
    """
    custom = {**(cut.custom or {}), "confidence": confidence}
    return fastcopy(saying(cut, text, *voice(cut)), custom=custom)


def saying(cut: Cut, text: str, speaker: str, language: str) -> Cut:
    """The same cut with one supervision over all of it; "" = unknown.

    Raises:
        UserError: it is mixed of several.
    """
    if not isinstance(cut, MonoCut | MultiCut):
        raise UserError(f"the cut {cut.id} is mixed of several recordings and cannot be given one text; leave it out")
    recording = cut.recording_id if cut.has_recording else cut.id
    said = SupervisionSegment(cut.id, recording, 0.0, cut.duration, text=text)
    said.speaker, said.language = speaker or None, language or None
    return fastcopy(cut, supervisions=[said])
