"""recipes.probe: features once, choices without the test speakers, rows that say what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment

import recipes.probe as recipe
from speechunits.errors import UserError
from speechunits.recipe import run
from speechunits.report.results import read_results
from speechunits.units.feature_bank import FeatureBank

BANK = "speechunits.units.feature_bank.FeatureBank"
MFCC = {"_target_": BANK, "source": {"_target_": "speechunits.frontends.mfcc.MFCC"}}
MELS = {"_target_": BANK, "source": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20}}


@pytest.fixture
def cuts(tmp_path: Path) -> str:
    """Two words by six speakers, four times each: a low and a high tone in noise."""
    random, made = np.random.default_rng(0), []
    for speaker in "abcdef":
        for word, pitch in (("low", 400), ("high", 1200)):
            for take in range(4):
                t = np.arange(round(16000 * random.uniform(0.1, 0.3))) / 16000
                path = tmp_path / f"{word}_{speaker}_{take}.wav"
                soundfile.write(
                    path, 0.1 * np.sin(2 * np.pi * pitch * t) + 0.03 * random.standard_normal(len(t)), 16000
                )
                cut = Recording.from_file(path).to_cut()
                cut.supervisions = [
                    SupervisionSegment(path.stem, path.stem, 0, cut.duration, text=word, speaker=speaker)
                ]
                made.append(cut)
    CutSet.from_cuts(made).to_file(tmp_path / "cuts.jsonl.gz")
    return str(tmp_path / "cuts.jsonl.gz")


def probe(out: Path, cuts: str, **changes: Any) -> list[dict[str, Any]]:
    keys = {"folds": [["a", "b"], ["c", "d"], ["e", "f"]], "strengths": [1.0, 0.01], "seeds": [0, 1], **changes}
    recipe.probe(str(out), keys.pop("systems", {"mfcc": MFCC, "mels": MELS}), cuts, **keys)
    return read_results(out / "results.json")["rows"]


def test_rows_say_everything(cuts: str, tmp_path: Path) -> None:
    rows = probe(tmp_path / "out", cuts, metric="word_accuracy")
    assert {row["metric"] for row in rows} == {"word_accuracy"}
    fold = [row for row in rows if row["split"] == "fold"]
    assert len(fold) == 2 * 2 * 2 * 3 and {row["utterances"] for row in fold} == {16}  # systems, pools, seeds, folds
    assert len([row for row in rows if row["split"] == "valid"]) == 2 * len(fold)  # strengths
    for row in (row for row in rows if row["split"] == "test"):
        mine = [f["value"] for f in fold if all(f[k] == row[k] for k in ("system", "pool", "seed"))]
        assert row["value"] == pytest.approx(sum(mine) / 3) and len(mine) == 3
    for row in fold:  # the strength is the best one by the other speakers' figures
        place = ("system", "pool", "seed", "fold")
        tried = [r for r in rows if r["split"] == "valid" and all(r[k] == row[k] for k in place)]
        best = max(r["value"] for r in tried)
        assert next(r["value"] for r in tried if r["l2"] == row["l2"]) == best
    assert next(r for r in rows if r["split"] == "test" and r["system"] == "mfcc")["value"] == 1.0


def test_choices_do_not_look_at_the_test_speakers(cuts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turning the labels of the tested speakers around turns the accuracy around and changes nothing else."""
    honest = probe(tmp_path / "honest", cuts, folds=[["a", "b"]], pools=["mean"])
    load = recipe.TextField.load

    def swapped(field: Any, cut: Any) -> str:
        text = load(field, cut)
        return {"low": "high", "high": "low"}[text] if cut.supervisions[0].speaker in "ab" else text

    monkeypatch.setattr(recipe.TextField, "load", swapped)
    lied = probe(tmp_path / "lied", cuts, folds=[["a", "b"]], pools=["mean"])
    for a, b in zip(honest, lied, strict=True):
        assert {**a, "value": None} == {**b, "value": None}
        assert b["value"] == pytest.approx(a["value"] if a["split"] == "valid" else 1 - a["value"])


def test_features_are_computed_once(cuts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = probe(tmp_path / "out", cuts)
    kept = sorted(path.name for path in (tmp_path / "out" / "features").iterdir())
    assert len(kept) == 2  # systems

    def refuse(*_: Any) -> None:
        raise AssertionError("features are there already")

    monkeypatch.setattr(FeatureBank, "look", refuse)
    assert probe(tmp_path / "out", cuts) == first


def test_kept_features_are_means_of_frames_in_the_order_of_the_cuts(cuts: str, tmp_path: Path) -> None:
    from speechunits.config import build
    from speechunits.data.cuts import open_cuts
    from speechunits.data.fields.audio_field import AudioField
    from speechunits.units.feature_pass import FeaturePass

    bank, opened = build(MFCC), open_cuts(cuts)
    batches = FeaturePass(opened, {"audio": AudioField()}, 1.0)
    found = recipe.pooled(bank, batches, ["mean"], tmp_path / "features")["mean"]["clean"]
    for row in (0, 7, 47):
        frames = bank.source(AudioField().collate([AudioField().load(opened[row])])).data[0]
        torch.testing.assert_close(found[row], frames.mean(0), rtol=1e-4, atol=1e-4)


def test_a_list_is_one_system_with_other_weights_for_each_seed(cuts: str, tmp_path: Path) -> None:
    rows = probe(tmp_path / "out", cuts, systems={"both": [MFCC, MELS], "mfcc": MFCC, "mels": MELS}, pools=["mean"])
    value = {(r["system"], r["seed"], r["fold"], r["l2"]): r["value"] for r in rows if r["split"] == "valid"}
    assert all(
        v == value["mels" if seed else "mfcc", seed, f, l2] for (s, seed, f, l2), v in value.items() if s == "both"
    )
    with pytest.raises(UserError, match=r"systems.both: a list of 2 for 3 seeds"):
        probe(tmp_path / "three", cuts, systems={"both": [MFCC, MELS]}, seeds=[0, 1, 2])


def test_folds_that_do_not_fit(cuts: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folds: x not in"):
        probe(tmp_path / "x", cuts, folds=[["a", "x"]])
    with pytest.raises(UserError, match="test a speaker twice"):
        probe(tmp_path / "twice", cuts, folds=[["a", "b"], ["b", "c"]])


def test_cuts_without_features_are_named(cuts: str, tmp_path: Path) -> None:
    (tmp_path / "low_c_2.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 cuts cannot be probed \(.*low_c_2"):
        probe(tmp_path / "out", cuts)


def test_by_the_command_line(cuts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    systems = tmp_path / "systems.yaml"
    systems.write_text(
        f"systems: {{mfcc: {{_target_: {BANK}, source: {{_target_: speechunits.frontends.mfcc.MFCC}}}}}}\n"
    )
    arguments = [str(systems), f"out={tmp_path / 'out'}", f"cuts={cuts}", "folds=[[a,b]]", "strengths=[0.1]"]
    assert run(recipe.probe, arguments)["rows"] == 3 * 2 * 3  # seeds, pools, splits
    assert "| mfcc, pool mean | 1.000 ± 0.000 (3) |" in capsys.readouterr().out
    assert run(recipe.probe, arguments)["rows"] == 18 and "finished already" in capsys.readouterr().out
