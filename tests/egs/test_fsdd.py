"""egs/fsdd on made-up and on real digits: preparation and every stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechunits import store
from speechunits.config import build, check, load
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.errors import UserError
from speechunits.report.results import read_results
from tests.egs.scripts import ROOT, script

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Two takes of ten digits by six speakers: a chord for each digit, 0.15 to 0.4 s at 8 kHz."""
    random, folder = np.random.default_rng(0), tmp_path / "digits"
    (folder / "recordings").mkdir(parents=True)
    for digit in range(10):
        for speaker in SPEAKERS:
            for take in range(2):
                t = np.arange(round(8000 * random.uniform(0.15, 0.4))) / 8000
                sound = 0.1 * np.sin(2 * np.pi * (300 + 250 * digit) * t) + 0.01 * random.standard_normal(len(t))
                soundfile.write(folder / "recordings" / f"{digit}_{speaker}_{take}.wav", sound, 8000)
    return folder


def test_digits_become_cuts(digits: Path, tmp_path: Path) -> None:
    prepare = script("egs/fsdd/local/prepare.py").prepare
    assert prepare(digits, tmp_path / "a.jsonl.gz") == dict.fromkeys(SPEAKERS, 20)
    cuts = {cut.id: cut for cut in open_cuts(tmp_path / "a.jsonl.gz")}
    said = cuts["7_theo_1"].supervisions[0]
    assert (said.text, said.speaker, cuts["7_theo_1"].sampling_rate) == ("7", "theo", 8000)
    assert len(cuts) == 120


def test_digits_that_are_none(digits: Path, tmp_path: Path) -> None:
    prepare = script("egs/fsdd/local/prepare.py").prepare
    with pytest.raises(UserError, match=r"no \.wav files"):
        prepare(tmp_path, tmp_path / "a.jsonl.gz")
    (digits / "recordings" / "eleven.wav").touch()
    with pytest.raises(UserError, match=r"eleven.wav: the name is not"):
        prepare(digits, tmp_path / "a.jsonl.gz")
    (digits / "recordings" / "eleven.wav").rename(digits / "recordings" / "1_theo_9.wav")
    with pytest.raises(UserError, match=r"1_theo_9.wav: cannot be read"):
        prepare(digits, tmp_path / "a.jsonl.gz")


@pytest.mark.slow
def test_real_digits(corpora: Path, tmp_path: Path) -> None:
    """All 3000, the shortest of 0.144 s included, and the folds name every speaker once."""
    counts = script("egs/fsdd/local/prepare.py").prepare(corpora / "fsdd", tmp_path / "a.jsonl.gz")
    assert counts == dict.fromkeys(SPEAKERS, 500)
    cuts = open_cuts(tmp_path / "a.jsonl.gz")
    assert Counter(cut.supervisions[0].text for cut in cuts) == {str(digit): 300 for digit in range(10)}
    shortest = cuts[int(cuts.seconds.argmin())]
    assert AudioField().load(shortest).shape == (round(16000 * shortest.duration),) and shortest.duration < 0.15
    folds = load(ROOT / "egs/fsdd/probe.yaml")["folds"]
    assert sorted(name for fold in folds for name in fold) == list(SPEAKERS) and {len(f) for f in folds} == {2}


def tiny_encoder(folder: Path, seed: int = 0) -> str:
    tree = load("system/hubert_base.yaml", "size/demo.yaml", "model.encoder.encoder.depth=2")["model"]["encoder"]
    tree["encoder"] |= {"dim": 32, "ffn": 64, "heads": 2}
    torch.manual_seed(seed)
    store.save(build(tree), folder, kind="encoder")
    return str(folder)


@pytest.mark.slow
def test_digit_probe_from_first_to_last_stage(shell: Callable, digits: Path, tmp_path: Path) -> None:
    encoder, exp = tiny_encoder(tmp_path / "encoder"), tmp_path / "exp"
    said = shell("egs/fsdd/run.sh", "--corpus-dir", digits, "--encoder", encoder, "--exp", exp, "strengths=[1,0.01]")
    assert "stage 0: digits as cuts: " in said.stdout and "| mfcc, pool mean |" in said.stdout
    rows = read_results(exp / "results.json")["rows"]
    fold = [row for row in rows if row["split"] == "fold"]
    assert len(fold) == 3 * 3 * 3 * 2  # systems, seeds, folds, pools
    assert {row["speakers"] for row in fold} == {"george+theo", "jackson+yweweler", "lucas+nicolas"}
    assert {row["utterances"] for row in fold} == {40}
    assert {row.get("layer") for row in fold} <= {None, 0, 1, 2}
    test = {(r["system"], r["pool"], r["seed"]): r["value"] for r in rows if r["split"] == "test"}
    assert test["mfcc", "mean", 0] > 0.9  # a chord for each digit: a probe that works cannot miss it
    assert test["random", "mean", 0] != test["random", "mean", 1]  # other weights
    other = tiny_encoder(tmp_path / "other", seed=1)
    refused = shell("egs/fsdd/run.sh", "--corpus-dir", digits, "--encoder", other, "--exp", exp, code=2)
    assert "made for another encoder" in refused.stderr


@pytest.mark.slow
def test_several_encoders_are_seeds_of_one_system(tmp_path: Path) -> None:
    systems = script("egs/fsdd/local/systems.py").systems
    folders = [tiny_encoder(tmp_path / f"e{seed}", seed) for seed in range(2)]
    made = systems(folders)
    assert made["seeds"] == [0, 1] and len(made["systems"]["random"]) == 2
    assert [node["source"]["folder"] for node in made["systems"]["trained"]] == folders
    assert made["systems"]["trained"][0]["reads"] == ["layer:0", "layer:1", "layer:2"]
    assert check(made["systems"]) == []
    assert systems([])["systems"].keys() == {"mfcc"}
