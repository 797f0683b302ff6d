"""Three folds of two test speakers: python egs/fsdd/asr/local/folds.py DIGITS.jsonl.gz OUT

OUT/fold<i>/test.jsonl.gz has the two speakers of egs/fsdd/probe.yaml's fold i, valid.jsonl.gz one of the other four (the first
by name), train.jsonl.gz the three that are left: what is chosen is chosen without the test speakers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut

from speechunits.config import load
from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes


def split(cuts: list[Cut], test: list[str]) -> dict[str, list[Cut]]:
    """The cuts of one fold.

    Raises:
        UserError: speakers are missing.
    """
    speakers = sorted({cut.supervisions[0].speaker for cut in cuts})
    rest = [name for name in speakers if name not in test]
    if len(rest) < 2 or not set(test) <= set(speakers):
        raise UserError(f"there are digits of {', '.join(speakers)} alone; give the whole data set as --corpus-dir")
    names = {"train": rest[1:], "valid": rest[:1], "test": test}
    return {name: [cut for cut in cuts if cut.supervisions[0].speaker in of] for name, of in names.items()}


def write(digits: Path, out: Path) -> None:
    """Write all folds, those that are there already excepted."""
    cuts = list(CutSet.from_file(digits))
    for number, test in enumerate(load("egs/fsdd/probe.yaml")["folds"]):
        for name, found in split(cuts, test).items():
            path = out / f"fold{number}" / f"{name}.jsonl.gz"
            if path.is_file():
                continue
            write_cuts(path, found)


if __name__ == "__main__":
    with exit_codes():
        write(Path(sys.argv[1]), Path(sys.argv[2]))
