"""A file of any length as overlapping windows, one in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lhotse import Recording

from speechunits.data.field import BadAudio
from speechunits.data.fields.audio_field import AudioField
from speechunits.errors import UserError
from speechunits.seq import Seq


class Window(NamedTuple):
    """``start`` in seconds, the samples (1, S), and whether it is the last one."""

    start: float
    audio: Seq
    last: bool


def audio_windows(path: str | Path, rate: int = 16000, seconds: float = 30.0, overlap: float = 5.0) -> Iterator[Window]:
    """The mono waveform of a file at ``rate`` Hz in windows; a rest shorter than the overlap joins the window before.

    Args:
        seconds: of a window.
        overlap: seconds that a window shares with the next.

    Raises:
        UserError: missing, empty, not readable as audio, or with NaN samples; or windows that do not get ahead.
    """
    if not 0 <= overlap < seconds:
        raise UserError(f"windows of {seconds:g} s that overlap by {overlap:g} s do not get ahead; lower the overlap")
    field, path = AudioField(rate=rate), Path(path)
    start = 0.0
    try:
        cut = Recording.from_file(path).to_cut()
        while True:
            last = start + seconds + overlap >= cut.duration
            length = cut.duration - start if last else seconds
            alone = start == 0 and last  # lhotse cuts nothing out of an empty file
            part = cut if alone else cut.truncate(offset=start, duration=length, preserve_id=True)
            yield Window(start, field.collate([field.load(part)]), last)
            if last:
                return
            start += seconds - overlap
    except Exception as error:  # audio backends raise many kinds for a file that is no audio
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> UserError:
    """The sentence for what went wrong when ``path`` was read."""
    if isinstance(error, UserError):
        return error
    if path.is_dir():
        why = "it is a folder"
    elif not path.is_file():
        why = "there is no such file"
    elif not path.stat().st_size:
        why = "the file is empty"
    else:
        why = str(error)[:200] if isinstance(error, BadAudio) else "no known format, or damaged"
    return UserError(f"{path}: cannot be read as audio ({why}); give a WAV, FLAC or Ogg file")
