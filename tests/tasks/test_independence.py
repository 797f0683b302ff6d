"""Who was made from what, as far as runs and folders say it, and who may therefore not judge."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import Recording

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import write_cuts
from speechunits.errors import UserError
from speechunits.tasks.independence import check_independent, lineage


def artefact(folder: Path, name: str, *parents: str) -> str:
    """A folder in a run of its own; its fingerprint, other for every name."""
    part = build({"_target_": "speechunits.text.words.Words", "symbols": [name]})
    return store.save(part, folder / name / "part", derived_from=parents)


def run_of(folder: Path, name: str, **tree: object) -> None:
    (folder / name / "config.json").write_text(json.dumps(tree))


def units(folder: Path, name: str, *fingerprints: str) -> Path:
    soundfile.write(folder / f"{name}.wav", np.zeros(800), 16000)
    path = folder / f"{name}.jsonl.gz"
    about = {"hop": "1/50", "vocab": [9], "fingerprint": "+".join(fingerprints), "derived_from": ["encoder of old"]}
    write_cuts(path, [Recording.from_file(folder / f"{name}.wav").to_cut()], {"units": about})
    return path


def test_lineage_follows_folders_and_the_runs_around_them(tmp_path: Path) -> None:
    """A recogniser <- an encoder <- units of a tokenizer, of which the recogniser's own folder knows the encoder alone."""
    stored = units(tmp_path, "train", "tokenizer 1", "dedup", "subwords 2")
    encoder = artefact(tmp_path, "encoder")
    run_of(tmp_path, "encoder", data={"train": str(stored), "fields": {}}, seed=3)
    recogniser = artefact(tmp_path, "recogniser", encoder)
    run_of(
        tmp_path, "recogniser", model={"encoder": {"folder": str(tmp_path / "encoder/part")}}, out=str(tmp_path / "no")
    )
    found = lineage([tmp_path / "recogniser" / "part"])
    assert found.fingerprints == {recogniser, encoder, "tokenizer 1", "subwords 2", "encoder of old"}
    assert found.cuts == {"train"}
    assert lineage([tmp_path / "encoder" / "part", stored]).fingerprints == found.fingerprints - {recogniser}
    with pytest.raises(UserError, match="neither an artefact folder nor a manifest with stored units"):
        lineage([tmp_path])


def test_a_judge_of_the_same_features_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer, text = artefact(tmp_path, "tokenizer"), artefact(tmp_path, "text")
    artefact(tmp_path, "vocoder", tokenizer, text)
    artefact(tmp_path, "kin", tokenizer, text)
    artefact(tmp_path, "other", text)
    kin, other, vocoder = (tmp_path / name / "part" for name in ("kin", "other", "vocoder"))
    with pytest.raises(UserError, match=f"kin/part: is not independent of what it judges, both come from {tokenizer}"):
        check_independent(kin, [vocoder], [text])
    assert not caplog.records
    assert check_independent(kin, [vocoder], [text], accept=True) == [tokenizer]
    assert "IS NOT INDEPENDENT" in caplog.text
    assert check_independent(other, [vocoder], [text]) == []
    with pytest.raises(UserError, match="not independent"):  # the vocoder itself, and what text was not said to be
        check_independent(other, [vocoder, kin])


def test_what_nobody_can_know_and_common_training_data_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    artefact(tmp_path, "judge"), artefact(tmp_path, "vocoder")
    judge, vocoder = tmp_path / "judge" / "part", tmp_path / "vocoder" / "part"
    assert check_independent(judge, []) == [] and "made_by names nothing" in caplog.text
    caplog.clear()
    assert check_independent(judge, [vocoder]) == [] and not caplog.text
    mine, theirs = units(tmp_path, "one", "x"), units(tmp_path, "two", "y")
    run_of(tmp_path, "judge", data={"train": {"a": [str(mine)]}})
    run_of(tmp_path, "vocoder", data={"train": [str(theirs), str(mine.with_name("gone.jsonl.gz"))]})
    mine.with_name("one.jsonl.gz.meta.json").unlink()
    assert check_independent(judge, [vocoder]) == [] and not caplog.text
    run_of(tmp_path, "vocoder", data={"train": [str(theirs), str(mine)]})
    assert check_independent(judge, [vocoder]) == []
    assert "judge/part: was trained on 1 cuts that what it judges was trained on: one" in caplog.text
