"""Digits as cuts: python egs/fsdd/local/prepare.py CORPUS OUT.jsonl.gz

CORPUS is a copy of the Free Spoken Digit Dataset: recordings/<digit>_<speaker>_<index>.wav. The digit becomes the text
of the supervision. The audio stays as it is (8 kHz); it is resampled when it is read.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut

from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes

NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<index>\d+)")


def digit_cut(path: Path) -> Cut:
    """One recording as a cut.

    Raises:
        UserError: the name is of another form, or the file holds no audio.
    """
    if not (name := NAME.fullmatch(path.stem)):
        raise UserError(f"{path}: the name is not <digit>_<speaker>_<index>.wav; take the file away or correct it")
    try:
        recording = Recording.from_file(path, recording_id=path.stem)
    except Exception as error:  # audio backends raise many kinds
        raise UserError(f"{path}: cannot be read as audio ({str(error).splitlines()[0]}); copy it again") from error
    if not recording.num_samples:
        raise UserError(f"{path}: holds no samples; copy it again")
    cut = recording.to_cut()
    cut.id = path.stem
    cut.supervisions = [
        SupervisionSegment(
            path.stem, path.stem, 0.0, recording.duration, text=name["digit"], speaker=name["speaker"], language="en"
        )
    ]
    cut.custom = {"take": int(name["index"])}
    return cut


def prepare(corpus: Path, out: Path) -> Counter[str]:
    """Write the manifest; returns utterances by speaker.

    Raises:
        UserError: there is no ``recordings`` folder, or a file in it is not of the data set.
    """
    folder = (corpus / "recordings").resolve()
    files = sorted(folder.glob("*.wav"))
    if not files:
        raise UserError(f"{folder}: there are no .wav files; give the folder that holds recordings/ as --corpus-dir")
    cuts = [digit_cut(path) for path in files]
    write_cuts(out, cuts)
    return Counter(cut.supervisions[0].speaker for cut in cuts)


if __name__ == "__main__":
    with exit_codes():
        counts = prepare(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{sum(counts.values())} digits: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}")
