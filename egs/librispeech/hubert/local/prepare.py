"""LibriSpeech as cuts: python egs/librispeech/hubert/local/prepare.py --corpus-dir DIR --out FOLDER

DIR is LibriSpeech/ or the folder that holds it, or an excerpt: index.tsv (columns id and speaker at least) beside
flac/<id>.flac. Writes cuts_train.jsonl.gz, cuts_valid.jsonl.gz and, where there are test parts, cuts_test.jsonl.gz, each
with its length index. dev parts are for validation; without any, whole speakers are held out.
"""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path

from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.cut import Cut
from lhotse.recipes import prepare_librispeech
from lhotse.supervision import AlignmentItem

from speechunits.data.cuts import open_cuts, write_cuts
from speechunits.data.symbol_table import collect_symbols, write_symbols
from speechunits.errors import UserError
from speechunits.recipe import exit_codes

SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def excerpt_cuts(corpus: Path) -> list[Cut]:
    """The cuts of an excerpt.

    Raises:
        UserError: a file that index.tsv names is missing or no audio.
    """
    cuts = []
    with open(corpus / "index.tsv", encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            name, path = row["id"], (corpus / "flac" / f"{row['id']}.flac").resolve()
            try:
                recording = Recording.from_file(path, recording_id=name)
            except Exception as error:  # audio backends raise many kinds
                raise UserError(f"{path}: index.tsv names it, but it cannot be read; copy the corpus again") from error
            cut = recording.to_cut()
            cut.id = name
            cut.supervisions = [
                SupervisionSegment(
                    name, name, 0.0, recording.duration, text=row.get("transcript") or None, speaker=row["speaker"]
                )
            ]
            cuts.append(cut)
    return cuts


def librispeech_cuts(corpus: Path, jobs: int) -> dict[str, list[Cut]]:
    """Part ("train-clean-100") -> cuts, by lhotse."""
    parts = {}
    for part, made in prepare_librispeech(corpus, num_jobs=jobs).items():
        cuts = CutSet.from_manifests(**made)
        parts[part] = list(cuts.modify_ids(lambda name: name.rsplit("-", 1)[0]))
    return parts


def by_split(corpus: Path, valid_speakers: int | None, jobs: int) -> dict[str, list[Cut]]:
    """ "train", "valid" and "test" -> cuts.

    Raises:
        UserError: the folder holds neither LibriSpeech nor an excerpt, or too few speakers to hold some out.
    """
    splits: dict[str, list[Cut]] = {"train": [], "valid": [], "test": []}
    if (corpus / "index.tsv").is_file():
        splits["train"] = excerpt_cuts(corpus)
    else:
        inner = corpus / "LibriSpeech" if (corpus / "LibriSpeech").is_dir() else corpus
        if not any(inner.glob("train-*")):
            raise UserError(
                f"{corpus}: neither LibriSpeech (train-*/) nor an excerpt (index.tsv); correct --corpus-dir"
            )
        for part, cuts in librispeech_cuts(inner, jobs).items():
            splits[SPLITS[part.split("-")[0]]] += cuts
    if not splits["valid"]:
        speakers = sorted({cut.supervisions[0].speaker for cut in splits["train"]})
        count = valid_speakers or max(1, round(len(speakers) / 20))
        if count >= len(speakers):
            raise UserError(f"{corpus}: cannot hold out {count} of {len(speakers)} speakers; lower --valid-speakers")
        held = set(random.Random(0).sample(speakers, count))
        splits["valid"] = [cut for cut in splits["train"] if cut.supervisions[0].speaker in held]
        splits["train"] = [cut for cut in splits["train"] if cut.supervisions[0].speaker not in held]
    return {name: sorted(cuts, key=lambda cut: str(cut.id)) for name, cuts in splits.items() if cuts}


def align(splits: dict[str, list[Cut]], ctm: Path) -> None:
    """Attach phones from a CTM file ("<utterance> <channel> <start> <duration> <phone>"); stress digits are dropped.

    Raises:
        UserError: a line is of another form, or an utterance has no phones.
    """
    phones: dict[str, list[AlignmentItem]] = {}
    for number, line in enumerate(ctm.read_text(encoding="utf-8").splitlines(), 1):
        try:
            name, _, start, duration, phone = line.split()[:5]
            item = AlignmentItem(phone.rstrip("0123456789"), float(start), float(duration))
        except ValueError:
            raise UserError(f"{ctm}: line {number} is not '<utterance> <channel> <start> <duration> <phone>'") from None
        phones.setdefault(name, []).append(item)
    for cut in (cut for cuts in splits.values() for cut in cuts):
        if cut.id not in phones:
            raise UserError(f"{ctm}: no phones for {cut.id}; align the whole corpus or leave --phones out")
        cut.supervisions[0].alignment = {"phone": phones[cut.id]}


def prepare(corpus: Path, out: Path, valid_speakers: int | None, every: int, phones: Path | None, jobs: int) -> None:
    """Write the manifests; see the module's text."""
    splits = by_split(corpus, valid_speakers, jobs)
    splits = {name: cuts[::every] for name, cuts in splits.items()}
    if phones is not None:
        align(splits, phones)
    for name, cuts in splits.items():
        write_cuts(out / f"cuts_{name}.jsonl.gz", cuts)
        opened = open_cuts(out / f"cuts_{name}.jsonl.gz")
        speakers = len({cut.supervisions[0].speaker for cut in cuts})
        print(f"{name}: {len(opened)} utterances, {opened.seconds.sum() / 3600:.2f} h, {speakers} speakers")
    if phones is not None:
        write_symbols(out / "phones.json", collect_symbols(cut for cuts in splits.values() for cut in cuts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--valid-speakers", type=int, help="speakers to hold out without a dev part; else one in 20")
    parser.add_argument("--every", type=int, default=1, help="keep one of this many utterances, to try things out")
    parser.add_argument("--phones", type=Path, help="CTM file of phone alignments")
    parser.add_argument("--jobs", type=int, default=4)
    given = parser.parse_args()
    with exit_codes():
        prepare(given.corpus_dir, given.out, given.valid_speakers, given.every, given.phones, given.jobs)
