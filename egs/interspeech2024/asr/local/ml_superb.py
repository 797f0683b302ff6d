"""ML-SUPERB's 1-hour track as cuts: python egs/interspeech2024/asr/local/ml_superb.py CORPUS OUT

CORPUS holds <source>/<language>/wav/<id>.wav and transcript_1h_train.txt, transcript_10min_test.txt beside wav/, lines of id,
source and text. Writes OUT/cuts_train-1h.jsonl.gz and OUT/cuts_test-1h.jsonl.gz: text in upper case without punctuation and
bracketed remarks, training utterances of 20 s at most, and of the twenty languages reserved for few shots only those
utterances of the training that the benchmark names in FEW_SHOT (https://arxiv.org/abs/2305.10615, section 3.2).
"""

from __future__ import annotations

import re
import string
import sys
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut

from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes

LONGEST = 20.0  # seconds of a training utterance
TABLES = {"train-1h": "transcript_1h_train.txt", "test-1h": "transcript_10min_test.txt"}
RESERVED = {
    *("bos", "ceb", "dan", "epo", "frr", "ful", "kaz", "kea", "lit", "luo", "srp", "sun", "tok", "tos", "tsn", "tso"),
    *("tur", "umb", "vie", "zul"),
}  # fmt: skip


def spelled(text: str) -> str:
    """Upper case, without punctuation and what stands in brackets."""
    text = re.sub(r"\[[^()]*\]", "", text)
    return " ".join(text.translate(str.maketrans("", "", string.punctuation)).upper().split())


def read(table: Path, few: set[str] | None) -> list[Cut]:
    """The cuts of one table; ``few`` are the utterances of a reserved language that may be learnt from.

    Raises:
        UserError: a line is of another form, or its audio cannot be read.
    """
    cuts, language = [], table.parent.name
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split(maxsplit=2)
        if len(parts) < 3:
            raise UserError(f"{table}: line {number} is not '<id> <source> <text>'; unpack the corpus again")
        name, _, text = parts
        if few is not None and name not in few:
            continue
        path = (table.parent / "wav" / f"{name}.wav").resolve()
        try:
            recording = Recording.from_file(path, recording_id=name)
        except Exception as error:  # audio backends raise many kinds
            raise UserError(f"{path}: {table.name} names it, but it cannot be read; unpack the corpus again") from error
        cut = recording.to_cut()
        cut.id = name
        about = SupervisionSegment(name, name, 0.0, recording.duration, text=spelled(text), language=language)
        cut.supervisions = [about]
        cuts.append(cut)
    return cuts


def prepare(corpus: Path, out: Path) -> dict[str, int]:
    """Write both manifests; returns how many utterances each has.

    Raises:
        UserError: the folder is not ML-SUPERB.
    """
    counts = {}
    chosen = Path(__file__).with_name("few_shot.txt").read_text(encoding="utf-8").split()
    for split, name in TABLES.items():
        cuts = []
        for table in sorted(corpus.glob(f"*/*/{name}")):
            reserved = split == "train-1h" and table.parent.name in RESERVED
            cuts += read(table, set(chosen) if reserved else None)
        kept = [cut for cut in cuts if split != "train-1h" or cut.duration <= LONGEST]
        if not kept:
            raise UserError(f"{corpus}: no <source>/<language>/{name} with utterances; correct --ml-superb")
        write_cuts(out / f"cuts_{split}.jsonl.gz", kept)
        counts[split] = len(kept)
    return counts


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with exit_codes():
        made = prepare(Path(sys.argv[1]), Path(sys.argv[2]))
    print(", ".join(f"{split}: {count} utterances" for split, count in made.items()))
