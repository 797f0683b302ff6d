"""extract_units: stored codes are the tokenizer's, from any number of processes; what cannot be read is listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lhotse import CutSet

from recipes.extract_units import extract_units
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.units_field import UnitsField
from speechunits.errors import UserError
from speechunits.recipe import run
from speechunits.units.tokenizer import UnitTokenizer
from tests.recipes.toy import Corpus, extract_arguments, save


def stored(cuts: Cuts) -> dict[str, list[int]]:
    field = UnitsField().bind(cuts)
    return {cut.id: field.load(cut)[:, 0].tolist() for cut in cuts}


@pytest.mark.parametrize("split", ["train", "valid"])
def test_stored_codes_are_the_tokenizers(corpus: Corpus, tokenizer: Path, units: Path, split: str) -> None:
    made, audio = UnitTokenizer.load(tokenizer), AudioField()
    cuts = open_cuts(units / f"{split}.jsonl.gz")
    codes = stored(cuts)
    originals = {c.id: c for c in CutSet.from_file(getattr(corpus, split))}
    assert set(codes) == set(originals) and len({c for row in codes.values() for c in row}) == 8
    for cut_id, row in codes.items():
        assert row == made.codes(audio.collate([audio.load(originals[cut_id])])).data[0, :, 0].tolist()
    assert cuts.streams == {"units": made.stream}


def test_the_other_entries_of_a_cut_stay(corpus: Corpus, units: Path) -> None:
    before, after = (next(iter(CutSet.from_file(p))) for p in (corpus.train, units / "train.jsonl.gz"))
    after = open_cuts(units / "train.jsonl.gz")[open_cuts(units / "train.jsonl.gz").row(before.id)]
    assert after.supervisions == before.supervisions and after.recording == before.recording


def test_a_second_field_keeps_the_first(corpus: Corpus, tokenizer: Path, units: Path, tmp_path: Path) -> None:
    more = [f"cuts.train={units / 'train.jsonl.gz'}", "field=other"]
    run(extract_units, [f"out={tmp_path}", f"tokenizer={tokenizer}", *more])
    assert set(open_cuts(tmp_path / "train.jsonl.gz").streams) == {"units", "other"}


def spoil(corpus: Corpus, folder: Path, rows: list[int]) -> Path:
    cuts = list(CutSet.from_file(corpus.train))
    (folder / "text.wav").write_text("this is no audio\n")
    for row in rows:
        cuts[row].recording.sources[0].source = str(folder / "text.wav")
    return save(cuts, folder / "spoilt.jsonl.gz")


def test_unreadable_audio_is_listed_and_left_out(corpus: Corpus, tokenizer: Path, units: Path, tmp_path: Path) -> None:
    path, ids = spoil(corpus, tmp_path, [2, 5]), open_cuts(corpus.train).ids
    out = tmp_path / "out"
    mark = run(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.train={path}"])
    assert mark["train"] == {"cuts": 8, "unreadable": 2}
    assert set(json.loads((out / "train.bad.json").read_text())) == {ids[2], ids[5]}
    good = {k: v for k, v in stored(open_cuts(units / "train.jsonl.gz")).items() if k not in (ids[2], ids[5])}
    assert stored(open_cuts(out / "train.jsonl.gz")) == good


@pytest.mark.parametrize("bad", [6, 10])
def test_a_corpus_that_is_mostly_unreadable_is_refused(
    corpus: Corpus, tokenizer: Path, tmp_path: Path, bad: int
) -> None:
    path, out = spoil(corpus, tmp_path, list(range(bad))), tmp_path / "out"
    with pytest.raises(UserError, match=r"most cuts cannot be read \(\d+, \d can\); see .*train\.bad\.json"):
        run(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.train={path}"])
    left = {p.name for p in out.iterdir()} - {"config.json", "config.yaml", "extract.log", ".lock"}
    assert left == {"train.bad.json"}, "no manifest, no codes"


def test_codes_of_the_same_seconds_whatever_the_batches(corpus: Corpus, tokenizer: Path, tmp_path: Path) -> None:
    rows = []
    for i, limit in enumerate((0.1, 4.0)):
        run(extract_units, extract_arguments(corpus, tmp_path / str(i), tokenizer, max_seconds=limit))
        rows.append(stored(open_cuts(tmp_path / str(i) / "train.jsonl.gz")))
    assert rows[0] == rows[1] and torch.tensor([len(r) for r in rows[0].values()]).min() > 30
