"""Multilingual LibriSpeech as cuts: python egs/mls/asr/local/prepare.py --corpus-dir DIR --out FOLDER --languages de,es

DIR holds mls_german/ and others (--opus: mls_german_opus/), or is an excerpt: index.tsv (column language) beside <language>.mp3
and <language>.txt, lines of "name|text" without times; its recordings are cut into pieces of equal length, which get the lines
in turn, so that it tests the stages and nothing else. Writes cuts_train_<language>.jsonl.gz, cuts_valid and cuts_test. A text
is spelled by the rules of its language (conf/text/normalisation.yaml), and begins with its name, as "[de] guten tag".
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.cut import Cut
from lhotse.recipes import prepare_mls

from speechunits.config import build, load
from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError
from speechunits.recipe import exit_codes
from speechunits.text.by_language import ByLanguage

NAMES = {
    "dutch": "nl", "english": "en", "french": "fr", "german": "de",
    "italian": "it", "polish": "pl", "portuguese": "pt", "spanish": "es",
}  # fmt: skip
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
PIECES = 8  # of a recording of an excerpt: six to learn from, one each for validation and test


def excerpt(corpus: Path, language: str) -> dict[str, list[Cut]]:
    """The pieces of one recording.

    Raises:
        UserError: the recording cannot be read.
    """
    lines = (corpus / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    path = (corpus / f"{language}.mp3").resolve()
    try:
        whole = Recording.from_file(path, recording_id=language).to_cut()
    except Exception as error:  # audio backends raise many kinds
        raise UserError(f"{path}: cannot be read as audio; copy the corpus again") from error
    mono = whole if whole.num_channels == 1 else whole.to_mono()[0]
    said = [" ".join(line.split("|", 1)[1] for line in part) for part in np.array_split(lines, PIECES)]
    cuts = []
    for i, text in enumerate(said):
        cut = mono.truncate(offset=i * mono.duration / PIECES, duration=mono.duration / PIECES)
        cut.id = f"{language}-{i}"
        cut.supervisions = [
            SupervisionSegment(cut.id, cut.recording_id, 0.0, cut.duration, text=text, language=language)
        ]
        cuts.append(cut)
    return {"train": cuts[:-2], "valid": cuts[-2:-1], "test": cuts[-1:]}


def mls(corpus: Path, languages: list[str], opus: bool) -> dict[str, dict[str, list[Cut]]]:
    """Language -> split -> cuts, by lhotse.

    Raises:
        UserError: a language is not there.
    """
    there = {name.split("_")[1] for path in corpus.glob("mls_*") if "_lm_" not in (name := path.name)}
    if missing := sorted(set(languages) - {NAMES.get(name) for name in there}):
        raise UserError(f"{corpus}: no mls_<language>/ for {', '.join(missing)}; correct --corpus-dir or --languages")
    found = {}
    for name, parts in prepare_mls(corpus, opus=opus).items():
        if (language := NAMES[name]) in languages:
            sets = {SPLITS[part]: list(CutSet.from_manifests(**made)) for part, made in parts.items()}
            for cut in (cut for cuts in sets.values() for cut in cuts):
                cut.id = cut.id.rsplit("-", 1)[0]
                cut.supervisions[0].language = language
            found[language] = sets
    return found


def spell(cut: Cut, rules: ByLanguage) -> Cut:
    """With its text as "[de] guten tag"."""
    said = cut.supervisions[0]
    said.text = f"[{said.language}] {rules(said.text, said.language)}"
    return cut


def prepare(corpus: Path, out: Path, languages: list[str], opus: bool) -> None:
    """Write the manifests; see the module's text."""
    rules = build(load("text/normalisation.yaml")["normaliser"])
    if (corpus / "index.tsv").is_file():
        with open(corpus / "index.tsv", encoding="utf-8", newline="") as table:
            there = [row["language"] for row in csv.DictReader(table, delimiter="\t")]
        found = {language: excerpt(corpus, language) for language in there if language in languages}
    else:
        found = mls(corpus, languages, opus)
    held: dict[str, list[Cut]] = {"valid": [], "test": []}
    for language, sets in found.items():
        splits = {split: [spell(cut, rules) for cut in cuts] for split, cuts in sets.items()}
        write_cuts(out / f"cuts_train_{language}.jsonl.gz", splits["train"])
        for split, cuts in held.items():
            cuts += splits[split]
        hours = sum(cut.duration for cut in splits["train"]) / 3600
        print(f"{language}: {len(splits['train'])} utterances, {hours:.2f} h to learn from")
    for split, cuts in held.items():
        write_cuts(out / f"cuts_{split}.jsonl.gz", cuts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--languages", required=True, help="codes, as de,es")
    parser.add_argument("--opus", action="store_true", help="the corpus is the compressed one")
    given = parser.parse_args()
    with exit_codes():
        prepare(given.corpus_dir, given.out, given.languages.split(","), given.opus)
