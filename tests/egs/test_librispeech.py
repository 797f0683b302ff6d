"""egs/librispeech on made-up and on real speech: preparation, and every stage of HuBERT and DinoSR."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechunits import store
from speechunits.config import check, load
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.report.results import read_results
from tests.egs.scripts import DINOSR, HUBERT, ROOT, script


def noise(path: Path, seconds: float, rate: int, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, random.normal(0.05, 0.1, round(seconds * rate)).clip(-1, 1), rate)


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    """Ten speakers with one utterance of 1.5 to 3 s each, as index.tsv and flac/."""
    random, folder, lines = np.random.default_rng(1), tmp_path / "excerpt", []
    for speaker in range(10):
        name = f"{speaker + 100}-{speaker}-0000"
        noise(folder / "flac" / f"{name}.flac", random.uniform(1.5, 3), 16000, random)
        lines.append({"id": name, "speaker": str(speaker + 100), "transcript": "WORDS" if speaker == 3 else ""})
    with open(folder / "index.tsv", "w", newline="") as table:
        writer = csv.DictWriter(table, ["id", "speaker", "transcript"], delimiter="\t")
        writer.writeheader()
        writer.writerows(lines)
    return folder


def speakers(path: Path) -> set[str]:
    return {cut.supervisions[0].speaker for cut in open_cuts(path)}


def test_excerpt_becomes_cuts(excerpt: Path, tmp_path: Path) -> None:
    prepare = script(f"{HUBERT}/local/prepare.py").prepare
    prepare(excerpt, tmp_path / "out", 3, 1, None, 1)
    train, valid = tmp_path / "out" / "cuts_train.jsonl.gz", tmp_path / "out" / "cuts_valid.jsonl.gz"
    assert len(speakers(train)) == 7 and len(speakers(valid)) == 3 and not speakers(train) & speakers(valid)
    assert not (tmp_path / "out" / "cuts_test.jsonl.gz").exists()
    assert (tmp_path / "out" / ".speechunits" / "cuts_train.jsonl.gz.index.safetensors").is_file()
    texts = [cut.supervisions[0].text for path in (train, valid) for cut in open_cuts(path)]
    assert sorted(texts, key=str) == [None] * 9 + ["WORDS"]
    prepare(excerpt, tmp_path / "few", 3, 2, None, 1)
    assert len(open_cuts(tmp_path / "few" / "cuts_train.jsonl.gz")) == 4


def test_excerpts_that_are_none(excerpt: Path, tmp_path: Path) -> None:
    prepare = script(f"{HUBERT}/local/prepare.py").prepare
    with pytest.raises(UserError, match="neither LibriSpeech"):
        prepare(tmp_path, tmp_path / "out", None, 1, None, 1)
    with pytest.raises(UserError, match="cannot hold out 10 of 10 speakers"):
        prepare(excerpt, tmp_path / "out", 10, 1, None, 1)
    next((excerpt / "flac").iterdir()).unlink()
    with pytest.raises(UserError, match=r"index.tsv names it"):
        prepare(excerpt, tmp_path / "out", None, 1, None, 1)


def test_the_original_layout_becomes_cuts(tmp_path: Path) -> None:
    """<part>/<speaker>/<chapter>/<utterance>.flac beside *.trans.txt, read by lhotse; dev validates, test is kept apart."""
    random, corpus = np.random.default_rng(2), tmp_path / "LibriSpeech"
    for part, speaker in (("train-clean-100", 19), ("train-other-500", 20), ("dev-other", 30), ("test-clean", 40)):
        chapter = corpus / part / str(speaker) / "7"
        for i in range(2):
            noise(chapter / f"{speaker}-7-{i:04d}.flac", 0.5 + i, 16000, random)
        (chapter / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 ONE\n{speaker}-7-0001 TWO THREE\n")
    ctm = "".join(
        f"{s}-7-{i:04d} 1 0.00 0.20 SIL\n{s}-7-{i:04d} 1 0.20 0.30 AH{i}\n" for s in (19, 20, 30, 40) for i in range(2)
    )
    (tmp_path / "phones.ctm").write_text(ctm)
    script(f"{HUBERT}/local/prepare.py").prepare(tmp_path, tmp_path / "out", None, 1, tmp_path / "phones.ctm", 1)
    found = {split: open_cuts(tmp_path / "out" / f"cuts_{split}.jsonl.gz") for split in ("train", "valid", "test")}
    assert {split: cuts.ids for split, cuts in found.items()} == {
        "train": ("19-7-0000", "19-7-0001", "20-7-0000", "20-7-0001"),
        "valid": ("30-7-0000", "30-7-0001"),
        "test": ("40-7-0000", "40-7-0001"),
    }
    cut = found["train"][1]
    assert (cut.supervisions[0].text, cut.supervisions[0].speaker, cut.duration) == ("TWO THREE", "19", 1.5)
    assert [(p.symbol, p.start, p.duration) for p in cut.supervisions[0].alignment["phone"]] == [
        ("SIL", 0.0, 0.2),
        ("AH", 0.2, 0.3),
    ]
    assert json.loads((tmp_path / "out" / "phones.json").read_text()) == ["AH", "SIL"]
    (tmp_path / "phones.ctm").write_text(ctm.replace("30-7-0001", "31-7-0001"))
    with pytest.raises(UserError, match="no phones for 30-7-0001"):
        script(f"{HUBERT}/local/prepare.py").prepare(tmp_path, tmp_path / "o", None, 1, tmp_path / "phones.ctm", 1)


@pytest.mark.slow
def test_real_excerpt(corpora: Path, tmp_path: Path) -> None:
    """All 251 speakers, one in twenty held out, and the loudest offset (0.257) is read like any other file."""
    script(f"{HUBERT}/local/prepare.py").prepare(corpora / "librispeech_excerpt", tmp_path, None, 1, None, 1)
    train, valid = speakers(tmp_path / "cuts_train.jsonl.gz"), speakers(tmp_path / "cuts_valid.jsonl.gz")
    assert (len(train), len(valid), train & valid) == (238, 13, set())
    cuts = [cut for name in ("train", "valid") for cut in open_cuts(tmp_path / f"cuts_{name}.jsonl.gz")]
    assert sum(cut.duration for cut in cuts) == pytest.approx(3140.7, abs=0.1)
    offset = next(cut for cut in cuts if cut.id == "445-123857-0000")
    assert float(AudioField().load(offset).mean()) == pytest.approx(-0.257, abs=0.001)


def test_unit_statistics_by_hand(excerpt: Path, tmp_path: Path) -> None:
    script(f"{HUBERT}/local/prepare.py").prepare(excerpt, tmp_path, 3, 1, None, 1)
    path = tmp_path / "units.jsonl.gz"
    cuts = open_cuts(tmp_path / "cuts_valid.jsonl.gz")
    runs = 0
    with UnitWriter(path, Fraction(1, 50), (4,), "made-up") as writer:
        for cut in cuts:
            codes = torch.arange(int(cut.duration * 50)) // 5 % 2  # 0 0 0 0 0 1 1 1 1 1 0 ...
            runs += len(torch.unique_consecutive(codes))
            writer.write(CutField().load(cut), codes)
    frames = sum(int(cut.duration * 50) for cut in cuts)
    found = script(f"{HUBERT}/local/unit_statistics.py").statistics(str(path))
    assert found["usage"] == 0.5
    assert found["run_ms"] == pytest.approx(20 * frames / runs)
    assert found["bitrate"] == pytest.approx(50, rel=0.01) and found["bitrate_dedup"] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(("devices", "nodes", "accumulate"), [(1, 1, 32), (2, 1, 16), (8, 1, 4), (8, 4, 1)])
def test_every_launch_line_trains_on_2800_seconds_an_update(devices: int, nodes: int, accumulate: int) -> None:
    """The lines of the README, the paper's batch, and a configuration without mistakes."""
    line = f"trainer.devices={devices}" + (f" trainer.nodes={nodes}" if nodes > 1 else "")
    line += f" data.accumulate={accumulate}" if accumulate > 1 else ""
    assert f"{line}`" in (ROOT / HUBERT / "README.md").read_text()
    tree = load(
        "conf/system/hubert_base.yaml", ROOT / HUBERT / "train.yaml", "conf/trainer/ddp.yaml", *line.split(),
        "data.train=a.jsonl.gz", "trainer.max_steps=250000", "schedule.total=250000", "schedule.warmup=20000",
    )  # fmt: skip
    assert check(tree) == []
    assert tree["data"]["max_seconds"] * tree["data"].get("accumulate", 1) * devices * nodes == 2800


@pytest.mark.slow
def test_hubert_from_first_to_last_stage(shell: Callable, excerpt: Path, tmp_path: Path) -> None:
    exp = tmp_path / "exp"
    small = ["trainer.max_steps=2", "trainer.validate_every=2", "data.max_seconds=6", "log_every=1"]
    ctm = tmp_path / "phones.ctm"
    names = [path.stem for path in sorted((excerpt / "flac").iterdir())]
    ctm.write_text("".join(f"{name} 1 {i / 10:.1f} 0.1 {'SABBA'[i % 5]}\n" for name in names for i in range(14)))
    given = ["--corpus-dir", excerpt, "--toy", "--every", "1", "--phones", ctm, "--exp", exp]
    said = shell(f"{HUBERT}/run.sh", *given, *small)
    stages = [line for line in said.stdout.splitlines() if line.startswith("== stage ")]
    assert [line.split()[2] for line in stages] == [f"{i}:" for i in range(9)]
    assert all(line.endswith(" s") for line in stages)
    for split, count in (("train", 9), ("valid", 1)):
        cuts = open_cuts(exp / "units" / f"{split}.jsonl.gz")
        assert (
            len(cuts) == count and cuts.streams["units"].vocab == (20,) and cuts.streams["units"].hop == Fraction(1, 50)
        )
    assert store.read_meta(exp / "hubert_it2" / "encoder")["steps"] == 2
    first = store.read_meta(exp / "hubert_it1" / "encoder")
    assert store.read_meta(exp / "km_it1" / "tokenizer")["derived_from"] == [first["fingerprint"]]
    results = {(r["system"], r["metric"]) for r in read_results(exp / "results.json")["rows"]}
    assert {(s, m) for s in ("mfcc", "hubert_it1", "hubert_it2") for m in ("usage", "bitrate", "run_ms")} <= results
    pure = {r["system"] for r in read_results(exp / "evaluation" / "results.json")["rows"] if r["metric"] == "pnmi"}
    assert pure == {"mfcc", "hubert_it1", "hubert_it2"}


@pytest.mark.slow
def test_dinosr_from_first_to_last_stage(shell: Callable, excerpt: Path, tmp_path: Path) -> None:
    exp = tmp_path / "exp"
    small = ["trainer.max_steps=2", "trainer.validate_every=2", "data.max_seconds=6", "log_every=1"]
    said = shell(f"{DINOSR}/run.sh", "--corpus-dir", excerpt, "--toy", "--every", "1", "--exp", exp, *small)
    stages = [line for line in said.stdout.splitlines() if line.startswith("== stage ")]
    assert [line.split()[2] for line in stages] == [f"{i}:" for i in range(6)]
    for split, count in (("train", 9), ("valid", 1)):
        cuts = open_cuts(exp / "units" / f"{split}.jsonl.gz")
        assert len(cuts) == count and cuts.streams["units"].vocab == (20,)
    encoder = store.read_meta(exp / "dinosr" / "encoder")
    assert encoder["steps"] == 2
    assert store.read_meta(exp / "km" / "tokenizer")["derived_from"] == [encoder["fingerprint"]]
    found = {(r["system"], r["metric"]) for r in read_results(exp / "results.json")["rows"]}
    assert {("dinosr", m) for m in ("usage", "bitrate", "run_ms")} <= found
