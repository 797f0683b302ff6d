"""A folder of sounds as cuts; what cannot be read is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechunits.data.audio_folder import sounds
from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError


def wave(path: Path, samples: int = 800, rate: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.linspace(-0.1, 0.1, samples), rate)
    return path


def test_ids_are_places_in_the_folder(tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac", "deep/er.1.WAV"):
        wave(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no sound")
    cuts = sounds(tmp_path / "in")
    assert [(cut.id, cut.duration) for cut in cuts] == [("a", 0.05), ("b", 0.05), ("deep/er.1", 0.05)]
    assert cuts[2].load_audio().shape == (1, 800)
    write_cuts(tmp_path / "cuts.jsonl.gz", cuts)
    again = sounds(tmp_path / "cuts.jsonl.gz")
    assert [cut.id for cut in again] == [cut.id for cut in cuts] and again[2].load_audio().shape == (1, 800)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    with pytest.raises(UserError, match="in does not exist"):
        sounds(folder)
    folder.mkdir()
    with pytest.raises(UserError, match=r"in: no audio in it \(\.wav"):
        sounds(folder)
    (folder / "a.wav").write_bytes(b"RIFF and nothing else")
    with pytest.raises(UserError, match=r"a\.wav: cannot be read as audio"):
        sounds(folder)
    (folder / "a.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.wav: cannot be read as audio \(the file is empty\)"):
        sounds(folder)
    wave(folder / "a.wav")
    wave(folder / "a.flac")
    with pytest.raises(UserError, match=r"a\.flac and .*a\.wav have one id, a"):
        sounds(folder)
