from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MultiCut, Recording, validate
from lhotse.cut import Cut

from speechunits.data.cuts import open_cuts
from speechunits.data.field import BadAudio
from speechunits.data.fields import AudioField
from speechunits.errors import UserError

Corpus = Callable[..., Path]


def wav(path: Path, samples: np.ndarray, rate: int = 16000, **how: str) -> Cut:
    soundfile.write(path, samples, rate, **how)
    return Recording.from_file(path).to_cut()


def test_samples_are_those_of_the_file(corpus: Corpus):
    cuts = open_cuts(corpus([0.3, 0.2]))
    field = AudioField().bind(cuts)
    items = [field.load(c) for c in cuts]
    for cut, item in zip(cuts, items, strict=True):
        np.testing.assert_array_equal(item, soundfile.read(cut.recording.sources[0].source, dtype="float32")[0])
    batch = field.collate(items)
    assert batch.hop == Fraction(1, 16000) and batch.lengths.tolist() == [4800, 3200]
    assert batch.data.dtype == torch.float32 and (batch.data[1, 3200:] == 0).all()


def test_other_rates_are_resampled_and_that_is_said_once(
    corpus: Corpus, caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    cuts = open_cuts([corpus([0.3, 0.2], "a", 8000), corpus([0.2], "b", 16000)])
    with caplog.at_level(logging.WARNING):
        field = AudioField().bind(cuts)
        assert [len(field.load(c)) for c in cuts] == [4800, 3200, 3200]
    assert [r.message for r in caplog.records if "2 cuts at 8000 Hz are resampled to 16000 Hz" in r.message]
    assert len(caplog.records) == 1
    # a 1 kHz tone stays one, at its place
    tone = wav(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050), 22050)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    np.testing.assert_allclose(AudioField().load(tone)[200:-200], expected[200:-200], atol=2e-3)


def test_channels(tmp_path: Path):
    both = np.stack([np.full(1600, 0.25), np.full(1600, 0.75)], 1)
    cut = wav(tmp_path / "stereo.wav", both, subtype="FLOAT")
    assert isinstance(cut, MultiCut)
    validate(cut)
    assert AudioField().load(cut).unique().tolist() == [0.5]
    assert AudioField(channel=1).load(cut).unique().tolist() == [0.75]
    with pytest.raises(UserError, match="2 channel"):
        AudioField(channel=2).load(cut)


def test_audio_that_cannot_be_used(tmp_path: Path):
    field, good = AudioField(), np.zeros(1600)
    nan = wav(tmp_path / "nan.wav", np.where(np.arange(1600) == 7, np.nan, good), subtype="FLOAT")
    missing, corrupt, short, empty = (
        wav(tmp_path / f"{n}.flac", good) for n in ("missing", "corrupt", "short", "empty")
    )
    (tmp_path / "missing.flac").unlink()
    (tmp_path / "corrupt.flac").write_bytes(b"not audio at all")
    soundfile.write(tmp_path / "short.flac", good[:100], 16000)
    soundfile.write(tmp_path / "empty.flac", good[:0], 16000)
    for cut, reason in [(nan, "NaN"), (missing, "missing.flac"), (corrupt, "corrupt.flac"), (short, "."), (empty, ".")]:
        with pytest.raises(BadAudio, match=reason):
            field.load(cut)


def test_another_recording_of_the_cut(tmp_path: Path):
    cut = wav(tmp_path / "source.wav", np.zeros(1600))
    cut.target_recording = Recording.from_file(
        wav(tmp_path / "t.wav", np.full(2205, 0.5), 22050).recording.sources[0].source
    )
    cut.target_recording_unaligned = True
    assert len(AudioField(key="target_recording", rate=22050).load(cut)) == 2205
    assert len(AudioField(key="target_recording").load(cut)) == 1600
    with pytest.raises(UserError, match="has no recording other"):
        AudioField(key="other").load(cut)


@pytest.mark.parametrize(
    ("folder", "pattern", "rate"), [("fsdd", "*.wav", 8000), ("librispeech_excerpt", "*.flac", 16000)]
)
def test_real_excerpts(corpora: Path, folder: str, pattern: str, rate: int):
    files = sorted((corpora / folder).rglob(pattern))[:20]
    assert files
    for file in files:
        cut = Recording.from_file(file).to_cut()
        wave = AudioField().load(cut)
        assert cut.sampling_rate == rate and abs(len(wave) - cut.duration * 16000) <= 1
        assert wave.dtype == torch.float32 and 0 < float(wave.abs().max()) <= 1
