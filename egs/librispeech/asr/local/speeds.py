"""Speech at other speeds beside itself: python egs/librispeech/asr/local/speeds.py CUTS.jsonl.gz SPEED ...

In the manifest, so that units and vectors are extracted of it once, and every input learns from the same speech (Ko et al.
2015, https://doi.org/10.21437/Interspeech.2015-711: 0.9 and 1.1).
"""

from __future__ import annotations

import sys
from pathlib import Path

from lhotse import CutSet

from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes


def add_speeds(path: Path, speeds: list[float]) -> int:
    """Rewrite ``path``; returns how many cuts it has now.

    Raises:
        UserError: a speed is none, or that of the recording.
    """
    if any(speed <= 0 or speed == 1 for speed in speeds):
        raise UserError(f"{' '.join(map(str, speeds))}: give speeds above 0 other than 1, as 0.9 1.1")
    cuts = list(CutSet.from_file(path))
    changed = [cut.perturb_speed(speed) for speed in speeds for cut in cuts]
    write_cuts(path, [*cuts, *changed])
    return len(cuts) + len(changed)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    with exit_codes():
        print(f"{add_speeds(Path(sys.argv[1]), [float(x) for x in sys.argv[2:]])} utterances at all speeds")
