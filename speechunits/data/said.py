"""The cut of an audio file that was made of another cut."""

from __future__ import annotations

from pathlib import Path

from lhotse import Recording
from lhotse.cut import Cut

from speechunits.data.relabelled import saying
from speechunits.data.transcripts import spoken_text, voice


def said(cut: Cut, path: str | Path) -> Cut:
    """``path`` as a cut with the id of ``cut`` and its text, speaker and language; of no other times, for it has its own."""
    made = Recording.from_file(path, recording_id=cut.id).to_cut()
    made.id = cut.id
    return saying(made, spoken_text(cut), *voice(cut))
