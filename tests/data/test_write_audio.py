from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechunits.data.read_audio import read_audio
from speechunits.data.write_audio import write_audio
from speechunits.errors import UserError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    samples = torch.linspace(-1, 1, 4001)
    write_audio(tmp_path / "deep" / "a.wav", samples, 16000)
    info = soundfile.info(tmp_path / "deep" / "a.wav")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (16000, 1, "PCM_16", 4001)
    codes, _ = soundfile.read(tmp_path / "deep" / "a.wav", dtype="int16")
    assert np.array_equal(codes, np.round(samples.double().numpy() * 32767)) and codes.min() == -32767
    torch.testing.assert_close(read_audio(tmp_path / "deep" / "a.wav").data[0], samples, rtol=0, atol=5e-5)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.wav"], "nothing is left beside it"


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", torch.zeros(10), 16000)
    before = (tmp_path / "a.wav").read_bytes()
    for wrong in (torch.tensor([0.0, 1.01]), torch.tensor([float("nan")])):
        with pytest.raises(ValueError, match="samples are no numbers, or beyond full scale"):
            write_audio(tmp_path / "a.wav", wrong, 16000)
    assert (tmp_path / "a.wav").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_audio(tmp_path / "file" / "a.wav", torch.zeros(10), 16000)
