"""Manifests and audio that people get wrong: exit code 2, one sentence, nothing half-written."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse.cut import Cut

from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from recipes.train import train
from speechunits import recipe
from tests.bad_input.spoil import left, spoilt
from tests.recipes.toy import Corpus, fit_arguments, train_arguments


def test_missing_manifests(fails: Any, units: Path, tokenizer: Path, corpus: Corpus, tmp_path: Path) -> None:
    out, gone = tmp_path / "out", tmp_path / "gone.jsonl.gz"
    says = f"the manifest {gone} does not exist"
    assert says in fails(train, [*train_arguments(units, out), f"data.train={gone}"]) and not left(out)
    assert says in fails(fit_units, [*fit_arguments(corpus, out), f"cuts={gone}"]) and not left(out)
    assert says in fails(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.a={gone}"]) and not left(out)
    # the mended command runs in the same folder
    recipe.run(fit_units, fit_arguments(corpus, out))


@pytest.mark.parametrize(
    ("text", "says"),
    [(b"", "holds no cuts"), (b'{"id": 1}\n', "line 1 is not a cut"), (b"not json\n", "line 1 is not a cut")],
)
def test_manifests_of_nothing(fails: Any, corpus: Corpus, tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "odd.jsonl.gz"
    path.write_bytes(gzip.compress(text))
    said = fails(fit_units, [*fit_arguments(corpus, tmp_path / "out"), f"cuts={path}"])
    assert says in said and str(path) in said and not left(tmp_path / "out")


def test_a_manifest_that_was_cut_off(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl.gz"
    path.write_bytes(corpus.train.read_bytes()[:-200])
    said = fails(fit_units, [*fit_arguments(corpus, tmp_path / "out"), f"cuts={path}"])
    assert f"{path} cannot be read" in said and not left(tmp_path / "out")


def replaced(folder: Path, kind: str, samples: int) -> str:
    """A bad audio file of one kind; its name."""
    path = folder / f"{kind}.wav"
    if kind == "text":
        path.write_text("this is no audio\n" * 20)
    elif kind == "nan":
        soundfile.write(path, np.full(samples, np.nan), 16000, subtype="FLOAT")
    elif kind == "empty":
        path.write_bytes(b"")
    return str(path)


def with_bad_audio(path: Path, kinds: list[str]) -> Path:
    def change(cuts: list[Cut]) -> None:
        for cut, kind in zip(cuts, kinds, strict=False):
            cut.recording.sources[0].source = replaced(path.parent, kind, cut.num_samples)

    return spoilt(path, change)


KINDS = ["text", "nan", "empty", "missing"]


def test_bad_audio_in_training_is_skipped_and_counted(units: Path, tmp_path: Path) -> None:
    path, out = with_bad_audio(units / "train.jsonl.gz", KINDS), tmp_path / "out"
    mark = recipe.run(train, [*train_arguments(units, out), f"data.train={path}", "data.max_bad=4"])
    log = (out / "train.log").read_text()
    assert mark["steps"] == 8 and "skipped the unreadable utterance" in log and "(4 so far)" in log
    assert "NaN or infinite samples" in log


def test_too_much_bad_audio_ends_training(fails: Any, units: Path, tmp_path: Path) -> None:
    path, out = with_bad_audio(units / "train.jsonl.gz", KINDS), tmp_path / "out"
    said = fails(train, [*train_arguments(units, out), f"data.train={path}", "data.max_bad=3"])
    assert "4 utterances cannot be read, more than max_bad = 3" in said
    assert "encoder" not in left(out) and "_COMPLETE.json" not in left(out)


def test_bad_audio_in_extraction_is_listed(corpus: Corpus, tokenizer: Path, tmp_path: Path) -> None:
    copy = shutil.copy(corpus.train, tmp_path / "train.jsonl.gz")
    path, out = with_bad_audio(Path(copy), KINDS), tmp_path / "out"
    mark = recipe.run(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.train={path}"])
    assert mark["train"] == {"cuts": 6, "unreadable": 4}
    bad = json.loads((out / "train.bad.json").read_text())
    assert len(bad) == 4 and any("NaN" in why for why in bad.values())


def test_short_cuts(fails: Any, corpus: Corpus, tokenizer: Path, units: Path, tmp_path: Path) -> None:
    """Some too short: left out and said. All too short: refused."""

    def some(cuts: list[Cut]) -> None:
        cuts[:3] = [c.truncate(duration=d) for c, d in zip(cuts, (0.01, 0.03, 0.049), strict=False)]

    def every(cuts: list[Cut]) -> None:
        cuts[:] = [c.truncate(duration=0.04) for c in cuts]

    copy = Path(shutil.copy(corpus.train, tmp_path / "train.jsonl.gz"))
    path, short, out = spoilt(copy, some), spoilt(copy, every, "short"), tmp_path / "out"
    mark = recipe.run(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.train={path}"])
    assert mark["train"]["cuts"] == 7 and "3 of 10 cuts are shorter than 0.05 s" in (out / "extract.log").read_text()
    said = fails(extract_units, [f"out={tmp_path / 'b'}", f"tokenizer={tokenizer}", f"cuts.train={short}"])
    assert f"{short}: no cut of at least 0.05 s is left" in said and not left(tmp_path / "b")
    said = fails(train, [*train_arguments(units, tmp_path / "c"), "data.min_duration=5.0"])
    assert f"{units / 'train.jsonl.gz'}: all 10 cuts are outside the limits" in said and "encoder" not in left(
        tmp_path / "c"
    )
