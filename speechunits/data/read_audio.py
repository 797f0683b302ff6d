"""One audio file as a batch of one."""

from __future__ import annotations

from pathlib import Path

from lhotse import Recording

from speechunits.data.audio_windows import unreadable
from speechunits.data.fields.audio_field import AudioField
from speechunits.seq import Seq


def read_audio(path: str | Path, rate: int = 16000) -> Seq:
    """The mono waveform of a file at ``rate`` Hz, resampled where needed: (1, S).

    Raises:
        UserError: missing, empty, not readable as audio, or with NaN samples.
    """
    field, path = AudioField(rate=rate), Path(path)
    try:
        return field.collate([field.load(Recording.from_file(path).to_cut())])
    except Exception as error:  # audio backends raise many kinds for a file that is no audio
        raise unreadable(path, error) from error
