"""Recognition: how far its words are from where the cuts have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from speechunits.data.audio_windows import audio_windows
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.tasks.listening import Listening
from speechunits.tasks.recognition import Recognition
from speechunits.tasks.transcriber import Transcriber
from tests.tasks.hears import FILTERBANK, hears


@pytest.mark.parametrize(("late", "offset"), [(0.0, 0.0), (0.25, 0.0), (0.25, 1.6)])
def test_the_times_of_words_against_alignments(tmp_path: Path, late: float, offset: float) -> None:
    """Alignments that say of each word of the model ``late`` seconds too much, and one word that it does not write."""
    model, random = hears(FILTERBANK), np.random.default_rng(0)
    path = tmp_path / "sound.flac"
    soundfile.write(path, random.uniform(-1, 1, 8 * 16000) * np.repeat(random.uniform(0, 0.3, 80), 1600), 16000)
    cut = Recording.from_file(path).to_cut().truncate(offset=offset)
    soundfile.write(tmp_path / "part.flac", cut.load_audio()[0], 16000)
    heard = [*Transcriber(model, Listening(model))(audio_windows(tmp_path / "part.flac"))]
    items = [AlignmentItem(w.text, w.start + late, w.end - w.start) for w in heard]  # type: ignore[operator]
    items[1] = items[1]._replace(symbol="strange", start=0.0)
    text = " ".join(item.symbol for item in items)
    said = SupervisionSegment("a", cut.recording_id, 0.0, cut.duration, text=text, alignment={"word": items})
    cut.supervisions = [said]
    CutSet.from_cuts([cut]).to_file(tmp_path / "cuts.jsonl.gz")
    run = Recognition(model, open_cuts(tmp_path / "cuts.jsonl.gz"), {"audio": AudioField()})
    (reading,) = run.read()
    assert len(heard) > 10 and reading.said != reading.heard == " ".join(word.text for word in heard)
    assert run.figures()["word_time_error"] == pytest.approx(late, abs=1e-6) and len(run.late) == len(heard) - 1
