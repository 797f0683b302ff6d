"""Transcribed cuts for fine-tuning: python egs/librispeech/finetune/local/transcribed.py --cuts DIR --out FOLDER

DIR holds what egs/librispeech/hubert/local/prepare.py wrote. Cuts without a transcript are left out and counted. Of
LibriSpeech itself, --labels chooses the training cuts (100h: train-clean-100; 10min, 1h and 10h: those that Libri-light
lists, given as --librilight), cuts_valid is dev-other, and cuts_dev-clean to cuts_test-other are the parts by name. Of an
excerpt (without parts, and without --labels), one speaker in four is held out as cuts_test.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from lhotse.cut import Cut

from speechunits.data.cuts import open_cuts, write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes

FOLDERS = {"10min": ("1h/0",), "1h": ("1h",), "10h": ("1h", "9h")}  # of Libri-light's librispeech_finetuning
HELD_OUT = ("dev-clean", "dev-other", "test-clean", "test-other")
LABELS = (*FOLDERS, "100h", "960h")


def part(cut: Cut) -> str:
    """ "dev-other": the part of LibriSpeech that a cut is from, by <part>/<speaker>/<chapter>/<utterance>.flac."""
    return Path(cut.recording.sources[0].source).parts[-4]


def listed(librilight: Path, labels: str) -> set[str]:
    """Utterances of a limited-resource set.

    Raises:
        UserError: the folder has none.
    """
    names = {p.stem for folder in FOLDERS[labels] for p in (librilight / folder).rglob("*.flac")}
    if not names:
        where = " and ".join(FOLDERS[labels])
        raise UserError(
            f"{librilight}: no .flac below {where}; give the unpacked librispeech_finetuning of Libri-light"
        )
    return names


def training(cuts: list[Cut], labels: str, librilight: Path | None) -> list[Cut]:
    """The cuts of one amount of labels.

    Raises:
        UserError: Libri-light is needed and not given, or lists what the corpus does not have.
    """
    if labels == "960h":
        return cuts
    if labels == "100h":
        return [cut for cut in cuts if part(cut) == "train-clean-100"]
    if librilight is None:
        raise UserError(f"--labels {labels} needs --librilight DIR, the unpacked librispeech_finetuning of Libri-light")
    names = listed(librilight, labels)
    found = [cut for cut in cuts if cut.id in names]
    if len(found) < len(names):
        raise UserError(f"{len(names) - len(found)} of {len(names)} utterances of {librilight} are not in the corpus")
    return found


def by_speaker(cuts: list[Cut]) -> dict[str, list[Cut]]:
    """One speaker in four for the test.

    Raises:
        UserError: there are fewer than two.
    """
    speakers = sorted({cut.supervisions[0].speaker for cut in cuts})
    if len(speakers) < 2:
        raise UserError(
            f"{len(speakers)} speaker(s) with transcripts, and one is held out; add transcripts to index.tsv"
        )
    held = set(random.Random(0).sample(speakers, max(1, len(speakers) // 4)))
    return {
        "train": [cut for cut in cuts if cut.supervisions[0].speaker not in held],
        "test": [cut for cut in cuts if cut.supervisions[0].speaker in held],
    }


def transcribed(cuts: Path, out: Path, labels: str | None, librilight: Path | None) -> None:
    """Write the manifests; see the module's text."""
    read = {s: list(open_cuts(p)) for s in ("train", "valid", "test") if (p := cuts / f"cuts_{s}.jsonl.gz").exists()}
    said = {s: [c for c in cs if (c.supervisions[0].text or "").strip()] for s, cs in read.items()}
    if labels is None:
        splits = by_speaker([cut for cs in said.values() for cut in cs])
    else:
        splits = {"train": training(said["train"], labels, librilight)}
        held = [*said.get("valid", ()), *said.get("test", ())]
        parts = {name: [cut for cut in held if part(cut) == name] for name in HELD_OUT}
        splits |= {"valid": parts["dev-other"], **parts}
    for split, found in splits.items():
        if not found:
            raise UserError(f"{cuts}: nothing for {split}; the corpus lacks that part, or its transcripts")
        write_cuts(out / f"cuts_{split}.jsonl.gz", found)
        hours, speakers = sum(c.duration for c in found) / 3600, len({c.supervisions[0].speaker for c in found})
        print(f"{split}: {len(found)} utterances, {hours:.3f} h, {speakers} speakers")
    count, none = sum(map(len, read.values())), sum(map(len, read.values())) - sum(map(len, said.values()))
    print(f"{none} of {count} utterances have no transcript and are left out")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labels", choices=LABELS, help="of LibriSpeech; without it, the cuts are an excerpt")
    parser.add_argument("--librilight", type=Path, help="Libri-light's librispeech_finetuning")
    given = parser.parse_args()
    with exit_codes():
        transcribed(given.cuts, given.out, given.labels, given.librilight)
