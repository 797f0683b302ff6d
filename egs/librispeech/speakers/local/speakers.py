"""Cuts to train a speaker encoder on, and cuts of other speakers: speakers.py --cuts DIR --out FOLDER [--seconds S]

DIR holds what egs/librispeech/hubert/local/prepare.py wrote. cuts_trials are of its test part, or, where there is none, of its
validation part: speakers that are not in training. cuts_train and cuts_valid are of the same speakers, because a classifier
can be validated on those that it knows alone: of each speaker with three cuts or more, the last is for validation.
--seconds cuts every utterance into pieces of that length and drops what is left.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lhotse.cut import Cut

from speechunits.data.cuts import open_cuts, write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes


def pieces(cut: Cut, seconds: float) -> list[Cut]:
    """Parts of ``seconds`` each, named by their number."""
    made = []
    for number in range(int(cut.duration / seconds + 1e-6)):
        part = cut.truncate(offset=number * seconds, duration=seconds, preserve_id=True)
        part.id = f"{cut.id}-{number}"
        made.append(part)
    return made


def speakers(cuts: Path, out: Path, seconds: float | None) -> None:
    """Write the manifests; see the module's text.

    Raises:
        UserError: there are no other speakers, or nothing to validate on.
    """
    read = {s: list(open_cuts(p)) for s in ("train", "valid", "test") if (p := cuts / f"cuts_{s}.jsonl.gz").exists()}
    trials = read.get("test") or read.get("valid")
    if trials is None:
        raise UserError(f"{cuts}: there are training speakers alone; prepare it with validation speakers")
    train = read["train"]
    if seconds is not None:
        train, trials = ([part for cut in of for part in pieces(cut, seconds)] for of in (train, trials))
    said: dict[str, list[Cut]] = {}
    for cut in train:
        said.setdefault(cut.supervisions[0].speaker, []).append(cut)
    valid = {of[-1].id for of in said.values() if len(of) > 2}
    splits = {
        "train": [cut for cut in train if cut.id not in valid],
        "valid": [cut for cut in train if cut.id in valid],
        "trials": trials,
    }
    for split, found in splits.items():
        if not found:
            raise UserError(f"{cuts}: nothing for {split}; give more speech of each speaker, or shorter pieces")
        write_cuts(out / f"cuts_{split}.jsonl.gz", found)
        names = len({cut.supervisions[0].speaker for cut in found})
        print(f"{split}: {len(found)} cuts, {sum(cut.duration for cut in found) / 3600:.2f} h, {names} speakers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, help="length of pieces; without it, utterances stay whole")
    given = parser.parse_args()
    with exit_codes():
        speakers(given.cuts, given.out, given.seconds)
