"""egs/*/asr: what each prepares, every stage on a few seconds of speech, and what a mistake looks like."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from speechunits import store
from speechunits.config import build, load
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError
from speechunits.report.results import read_results
from tests.egs.scripts import script

HERE = "egs/librispeech/asr"
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    tree = load("system/hubert_base.yaml", "size/demo.yaml", "model.encoder.encoder.depth=2")["model"]["encoder"]
    tree["encoder"] |= {"dim": 32, "ffn": 64, "heads": 2}
    store.save(build(tree), tmp_path / "encoder", kind="encoder")
    return tmp_path / "encoder"


def stages(said: str) -> list[str]:
    return [
        line.split(":")[0].split()[-1] for line in said.splitlines() if line.startswith("== ") and ", stage " in line
    ]


def manifest(path: Path, **texts: str) -> Path:
    """Cuts of two seconds of noise by their ids."""
    cuts = []
    for i, (name, text) in enumerate(texts.items()):
        sound = np.random.default_rng(i).normal(0, 0.1, 32000).clip(-1, 1)
        soundfile.write(path.parent / f"{name}.wav", sound, 16000)
        recording = Recording.from_file(path.parent / f"{name}.wav")
        said = SupervisionSegment(name, recording.id, 0.0, 2.0, text=text, speaker=name)
        cuts.append(MonoCut(name, 0.0, 2.0, 0, recording=recording, supervisions=[said]))
    CutSet.from_cuts(cuts).to_file(path)
    return path


def test_speeds_are_cuts_of_their_own(tmp_path: Path) -> None:
    path = manifest(tmp_path / "cuts.jsonl.gz", a="ONE", b="TWO")
    assert script(f"{HERE}/local/speeds.py").add_speeds(path, [0.9, 1.1]) == 6
    cuts = {cut.id: cut for cut in open_cuts(path)}
    assert {name for name in cuts} == {f"{name}{speed}" for name in "ab" for speed in ("", "_sp0.9", "_sp1.1")}
    assert cuts["a_sp0.9"].duration == pytest.approx(2 / 0.9, abs=1e-3)
    assert cuts["b_sp1.1"].supervisions[0].text == "TWO"
    assert cuts["a_sp1.1"].load_audio().shape == (1, cuts["a_sp1.1"].num_samples)
    with pytest.raises(UserError, match="give speeds above 0 other than 1"):
        script(f"{HERE}/local/speeds.py").add_speeds(path, [1.0])


@pytest.mark.slow
def test_librispeech_from_first_to_last_stage(shell: Shell, corpora: Path, encoder: Path, tmp_path: Path) -> None:
    """Seven transcribed utterances: units and features in one table, with a word graph made of the transcripts."""
    pytest.importorskip("kaldi_decoder", reason="pip install 'speechunits[lattice]'")
    exp, corpus = tmp_path / "exp", corpora / "librispeech_transcribed"
    given = ["--corpus-dir", corpus, "--encoder", encoder, "--toy", "--exp", exp]
    both = ["--input", "units_bpe", "--input", "cached_features", "--lm", "words", "trainer.max_steps=2"]
    said = shell(f"{HERE}/run.sh", *given, *both)
    assert stages(said.stdout) == list("01234567")
    rows = read_results(exp / "results.json")["rows"]
    found = {(r["system"], r["split"]) for r in rows if r["metric"] == "wer"}
    assert found == {(s, p) for s in ("units_bpe", "cached_features") for p in ("train", "test")}
    assert {r["system"] for r in rows if r["metric"] == "bits_per_second"} == {"units_bpe"}
    name = store.read_meta(exp / "units_bpe" / "asr")["derived_from"]
    assert any(store.read_meta(exp / "km" / "tokenizer")["fingerprint"] in each for each in name)
    cuts = [set(open_cuts(exp / "data" / f"cuts_{split}.jsonl.gz").ids) for split in ("train", "test")]
    assert cuts[0] and cuts[1] and not cuts[0] & cuts[1]


@pytest.mark.parametrize("labels", ["100h", "960h"])
def test_the_numbers_of_librispeech_are_accepted(labels: str) -> None:
    """What full.sh lays over each other for a GPU has no unknown key, and every part that it names is there."""
    parts = [f"conf/asr/librispeech_{labels[:-1]}.yaml", "conf/trainer/gpu.yaml", f"{HERE}/train.yaml"]
    tree = load(*parts, "conf/input/units_bpe.yaml", "data.fields.units.steps.subwords.changes.alpha=0.4")
    assert tree["trainer"]["validate_batches"] == 20 and tree["data"]["accumulate"] == 2
    assert tree["data"]["fields"]["units"]["steps"]["subwords"]["changes"] == {"alpha": 0.4}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--input units_bpe needs --tokenizer DIR"),
        (["--input", "features"], "--input features needs --encoder DIR"),
        (["--input", "mfcc"], "--input takes units_bpe, units, fbank, features or cached_features"),
        (["--input", "fbank"], "--corpus-dir DIR is needed"),
        (["--lm", "transformer"], "--lm takes ngram or words"),
        (["--arpa", "none.arpa"], "--arpa takes an ARPA file"),
        (["--labels", "10h"], "--labels takes 100h or 960h"),
        (["--layer", "last"], "--layer takes a number from 0"),
        (["--stage", "9"], "--stage takes a stage from 0 to 7"),
    ],
)
def test_mistakes_on_the_command_line(shell: Shell, arguments: list[str], says: str, tmp_path: Path) -> None:
    assert says in shell(f"{HERE}/run.sh", "--exp", tmp_path / "exp", *arguments, code=2).stderr
