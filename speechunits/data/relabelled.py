"""A manifest of the same cuts with other text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

from lhotse import MonoCut, MultiCut, SupervisionSegment
from lhotse.cut import Cut
from lhotse.utils import fastcopy

from speechunits.data.cuts import Cuts
from speechunits.data.shar import without_bytes
from speechunits.data.transcripts import voice
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.errors import UserError
from speechunits.store import writing


def write_relabelled(path: str | Path, cuts: Cuts, texts: Mapping[str, tuple[str, float]]) -> None:
    """``path``, a ``.jsonl.gz``, with the cuts that ``texts`` names, in their order, and its ``.meta.json``.

    Each keeps its id, speaker, language, audio and what is stored of it; its supervisions become one with the text, and
    ``custom["confidence"]`` says how sure of it the labeller was.

    Args:
        texts: id -> text, confidence.

    Raises:
        UserError: a cut is mixed of several, or the place cannot be written.
    """
    path = Path(path)
    fields = {name: about for part in cuts.paths for name, about in read_meta(part).items()}
    with writing(path) as aside:
        with open(aside, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as lines:
            for row in range(len(cuts)):
                if (name := cuts.id(row)) in texts:
                    made = relabelled(cuts[row], *texts[name])
                    line = json.dumps(without_bytes(made.to_dict()), ensure_ascii=False)
                    lines.write(line.encode() + b"\n")
        if fields:
            write_meta(path, fields)


def relabelled(cut: Cut, text: str, confidence: float) -> Cut:
    """The same cut, of which somebody says that this was said.

    Raises:
        UserError: it is mixed of several.
    """
    if not isinstance(cut, MonoCut | MultiCut):
        raise UserError(f"the cut {cut.id} is mixed of several recordings and cannot be given one text; leave it out")
    speaker, language = voice(cut)
    recording = cut.recording_id if cut.has_recording else cut.id
    said = SupervisionSegment(cut.id, recording, 0.0, cut.duration, text=text)
    said.speaker, said.language = speaker or None, language or None
    custom = {**(cut.custom or {}), "confidence": confidence}
    return fastcopy(cut, supervisions=[said], custom=custom)
