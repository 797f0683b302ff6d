"""Hours of audio need the memory of minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
TRANSCRIBE = """
import resource, sys
from speechunits.data.audio_windows import audio_windows
from speechunits.tasks.listening import Listening
from speechunits.tasks.transcriber import Transcriber
from tests.tasks.hears import FILTERBANK, hears
model = hears(FILTERBANK)
last = None
for last in Transcriber(model, Listening(model))(audio_windows(sys.argv[1])):
    pass
print(last.end, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write(path: Path, minutes: int) -> None:
    """Silence with a burst of noise every minute, written minute by minute."""
    random = np.random.default_rng(0)
    minute = np.zeros(60 * 16000, np.float32)
    minute[-16000:] = 0.3 * random.uniform(-1, 1, 16000)
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        for _ in range(minutes):
            file.write(minute)


def transcribed(path: Path) -> tuple[float, float]:
    """Seconds at which the last word ends, and peak memory in MB, of a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", TRANSCRIBE, path], env=env, capture_output=True, text=True, check=True)
    end, kilobytes = done.stdout.split()
    return float(end), int(kilobytes) / 1024


@pytest.mark.slow
def test_two_hours_need_the_memory_of_two_minutes(tmp_path: Path) -> None:
    used = {}
    for minutes in (2, 120):
        write(tmp_path / f"{minutes}.flac", minutes)
        end, used[minutes] = transcribed(tmp_path / f"{minutes}.flac")
        assert end == pytest.approx(60 * minutes, abs=1)
    assert used[120] < used[2] + 60, used
