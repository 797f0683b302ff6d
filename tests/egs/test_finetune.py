"""egs/librispeech/finetune and egs/demo/finetune.sh: which cuts are chosen, every stage, and what a mistake looks like."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, MonoCut, SupervisionSegment
from lhotse.testing.dummies import dummy_recording

from speechunits import store
from speechunits.config import build, load
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError
from speechunits.report.results import read_results
from tests.egs.scripts import script

HERE = "egs/librispeech/finetune"
SPEAKERS, WORDS = 8, ("ONE", "TWO THREE", "A B C")

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    tree = load("system/hubert_base.yaml", "size/demo.yaml", "model.encoder.encoder.depth=2")["model"]["encoder"]
    tree["encoder"] |= {"dim": 32, "ffn": 64, "heads": 2}
    torch.manual_seed(1)  # the baseline's fresh weights come of seed 0
    store.save(build(tree), tmp_path / "encoder", kind="encoder")
    return tmp_path / "encoder"


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    """Eight speakers with one utterance each, two of them without a transcript."""
    random, folder, lines = np.random.default_rng(1), tmp_path / "excerpt", []
    (folder / "flac").mkdir(parents=True)
    for i in range(SPEAKERS):
        soundfile.write(folder / "flac" / f"{i}-0-0.flac", random.normal(0, 0.1, 16000 + 4000 * i).clip(-1, 1), 16000)
        lines.append({"id": f"{i}-0-0", "speaker": str(i), "transcript": "" if i in (2, 5) else WORDS[i % 3]})
    with open(folder / "index.tsv", "w", newline="") as table:
        writer = csv.DictWriter(table, ["id", "speaker", "transcript"], delimiter="\t")
        writer.writeheader()
        writer.writerows(lines)
    return folder


def librispeech(folder: Path) -> Path:
    """Cuts as egs/librispeech/hubert/local/prepare.py leaves them: two utterances of a speaker of each part."""
    parts = {
        "train": ["train-clean-100", "train-clean-360", "train-other-500"],
        "valid": ["dev-clean", "dev-other"],
        "test": ["test-clean", "test-other"],
    }
    folder.mkdir()
    for split, names in parts.items():
        cuts = []
        for part in names:
            for i in range(2):
                name = f"{part}-{i}"
                recording = dummy_recording(0, duration=2.0)
                recording.id = name
                recording.sources[0].source = f"/data/LibriSpeech/{part}/7/8/{name}.flac"
                said = SupervisionSegment(name, name, 0, 2.0, text="ONE", speaker=part)
                cuts.append(MonoCut(name, 0, 2.0, 0, recording=recording, supervisions=[said]))
        CutSet.from_cuts(cuts).to_file(folder / f"cuts_{split}.jsonl.gz")
    return folder


def ids(path: Path) -> set[str]:
    return set(open_cuts(path).ids)


def test_an_excerpt_keeps_what_has_a_transcript_and_holds_speakers_out(
    excerpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("egs/librispeech/hubert/local/prepare.py").prepare(excerpt, tmp_path / "all", None, 1, None, 1)
    script(f"{HERE}/local/transcribed.py").transcribed(tmp_path / "all", tmp_path / "out", None, None)
    train, test = (ids(tmp_path / "out" / f"cuts_{split}.jsonl.gz") for split in ("train", "test"))
    assert len(train) == 5 and len(test) == 1 and train | test == {f"{i}-0-0" for i in (0, 1, 3, 4, 6, 7)}
    assert "2 of 8 utterances have no transcript" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        ("960h", {"train-clean-100", "train-clean-360", "train-other-500"}),
        ("100h", {"train-clean-100"}),
        ("10h", {"train-clean-100", "train-other-500"}),
        ("1h", {"train-other-500"}),
        ("10min", {"train-other-500"}),
    ],
)
def test_the_amounts_of_labels(tmp_path: Path, labels: str, chosen: set[str]) -> None:
    """Libri-light's folders: 10 min = 1h/0, 1 h = 1h/*, 10 h = 1h and 9h."""
    listed = tmp_path / "librilight"
    names = ["1h/0/other/7/8/train-other-500-0", "1h/3/other/7/8/train-other-500-1", "9h/clean/7/8/train-clean-100-1"]
    for name in names:
        (listed / name).parent.mkdir(parents=True, exist_ok=True)
        (listed / f"{name}.flac").touch()
    cuts = librispeech(tmp_path / "all")
    script(f"{HERE}/local/transcribed.py").transcribed(cuts, tmp_path / "out", labels, listed)
    found = ids(tmp_path / "out" / "cuts_train.jsonl.gz")
    assert {name.rsplit("-", 1)[0] for name in found} == chosen
    assert len(found) == {"960h": 6, "100h": 2, "10h": 3, "1h": 2, "10min": 1}[labels]
    assert ids(tmp_path / "out" / "cuts_valid.jsonl.gz") == {"dev-other-0", "dev-other-1"}
    assert ids(tmp_path / "out" / "cuts_test-clean.jsonl.gz") == {"test-clean-0", "test-clean-1"}


def test_labels_that_cannot_be_chosen(tmp_path: Path, excerpt: Path) -> None:
    choose, cuts = script(f"{HERE}/local/transcribed.py").transcribed, librispeech(tmp_path / "all")
    with pytest.raises(UserError, match="--labels 10h needs --librilight DIR"):
        choose(cuts, tmp_path / "out", "10h", None)
    with pytest.raises(UserError, match=r"no \.flac below 1h/0"):
        choose(cuts, tmp_path / "out", "10min", tmp_path)
    (tmp_path / "1h" / "0").mkdir(parents=True)
    (tmp_path / "1h" / "0" / "other-utterance.flac").touch()
    with pytest.raises(UserError, match=r"1 of 1 utterances of .* are not in the corpus"):
        choose(cuts, tmp_path / "out", "10min", tmp_path)
    (cuts / "cuts_valid.jsonl.gz").unlink()
    with pytest.raises(UserError, match="nothing for valid"):
        choose(cuts, tmp_path / "out", "960h", None)


@pytest.mark.slow
def test_every_stage_on_an_excerpt(shell: Shell, excerpt: Path, encoder: Path, tmp_path: Path) -> None:
    exp = tmp_path / "exp"
    said = shell(
        f"{HERE}/run.sh", "--corpus-dir", excerpt, "--encoder", encoder, "--toy", "--exp", exp, "--tuning", "biases"
    )
    stages = [line for line in said.stdout.splitlines() if line.startswith("== librispeech-finetune, stage ")]
    assert [line.split()[3] for line in stages] == ["0:", "1:", "2:", "3:"]
    assert "trains 0.00 of 0.02 M parameters" in said.stdout and "| random |" in said.stdout
    rows = read_results(exp / "results.json")["rows"]
    assert {(r["system"], r["split"], r["metric"]) for r in rows} >= {
        (s, p, m) for s in ("trained", "random") for p in ("train", "test") for m in ("wer", "cer")
    }
    weights = [store.restore(exp / kind / "encoder").state_dict() for kind in ("trained", "random")]
    assert not all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))
    again = shell(
        f"{HERE}/run.sh", "--corpus-dir", excerpt, "--encoder", encoder, "--toy", "--exp", exp, "--tuning", "biases"
    )
    assert again.stdout.count("finished already") == 4


@pytest.mark.slow
def test_the_demo(shell: Shell, excerpt: Path, encoder: Path, tmp_path: Path) -> None:
    """On a corpus laid out as the demo's, with two updates."""
    script("egs/librispeech/hubert/local/prepare.py").prepare(excerpt, tmp_path / "all", None, 1, None, 1)
    script(f"{HERE}/local/transcribed.py").transcribed(tmp_path / "all", tmp_path / "cuts", None, None)
    speech = tmp_path / "exp" / "corpus" / "speech"
    speech.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        CutSet.from_file(tmp_path / "cuts" / "cuts_train.jsonl.gz").to_file(speech / f"cuts_{split}_en.jsonl.gz")
    shell("egs/demo/finetune.sh", "--exp", tmp_path / "exp", "--encoder", encoder, "trainer.max_steps=2")
    rows = read_results(tmp_path / "exp" / "finetune" / "results.json")["rows"]
    assert {(r["system"], r["split"]) for r in rows} == {("trained", "test"), ("random", "test")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--encoder DIR is needed"),
        (["--encoder"], "--encoder takes the folder of an encoder"),
        (["--labels", "5h"], "--labels takes 10min, 1h, 10h, 100h or 960h"),
        (["--tuning", "none"], "--tuning takes the name of a file in conf/tuning"),
        (["--stage", "9"], "--stage takes a stage from 0 to 3"),
        (["--encoder", "x"], "--corpus-dir DIR is needed"),
    ],
)
def test_mistakes_on_the_command_line(shell: Shell, arguments: list[str], says: str, tmp_path: Path) -> None:
    assert says in shell(f"{HERE}/run.sh", "--exp", tmp_path / "exp", *arguments, code=2).stderr


@pytest.mark.slow
def test_half_an_encoder_is_refused_before_training(shell: Shell, excerpt: Path, encoder: Path, tmp_path: Path) -> None:
    (encoder / "weights.safetensors").unlink()
    given = ["--corpus-dir", excerpt, "--encoder", encoder, "--toy", "--exp", tmp_path / "exp"]
    assert "weights.safetensors: missing or damaged" in shell(f"{HERE}/run.sh", *given, code=2).stderr
    assert not (tmp_path / "exp" / "trained").exists()
