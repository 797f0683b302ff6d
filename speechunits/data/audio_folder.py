"""A folder of audio files as cuts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lhotse import Recording
from lhotse.cut import Cut

from speechunits.data.audio_windows import unreadable
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def sounds(path: str | Path) -> list[Cut]:
    """The cuts of a manifest or a Shar folder, or one for each file of a folder of audio.

    A file's id is its path within the folder, without the suffix.

    Raises:
        UserError: there is no such place, no audio in it, a file that cannot be read, or two with one id.
    """
    path = Path(path)
    return [*(_cuts(path) if path.is_dir() and not any(path.glob("cuts.*.jsonl*")) else open_cuts(path))]


def _cuts(folder: Path) -> Iterator[Cut]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise UserError(f"{folder}: no audio in it ({', '.join(SUFFIXES)}); correct the path, or run what makes it")
    seen: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in seen:
            raise UserError(f"{seen[name]} and {file} have one id, {name}; leave one of them out")
        seen[name] = file
        try:
            yield Recording.from_file(file.absolute(), recording_id=name).to_cut()
        except Exception as error:  # audio backends raise many kinds for a file that is no audio
            raise unreadable(file, error) from error
