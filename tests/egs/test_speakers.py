"""egs/librispeech/speakers: who is trained on and who is verified, every stage, mistakes."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError
from speechunits.report.results import read_results
from speechunits.tasks.speaker_encoder import SpeakerEncoder
from tests.egs.scripts import script
from tests.inputs.toy import encoder_folder
from tests.tasks.voices import voice

HERE = "egs/librispeech/speakers"
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    """Eight speakers with one utterance of 2 s each."""
    folder, lines = tmp_path / "excerpt", []
    (folder / "flac").mkdir(parents=True)
    for i in range(8):
        soundfile.write(folder / "flac" / f"{i}-0-0.flac", voice(i, 0, 2.1).numpy(), 16000)
        lines.append({"id": f"{i}-0-0", "speaker": str(i), "transcript": ""})
    with open(folder / "index.tsv", "w", newline="") as table:
        writer = csv.DictWriter(table, ["id", "speaker", "transcript"], delimiter="\t")
        writer.writeheader()
        writer.writerows(lines)
    return folder


def who(path: Path) -> set[str]:
    return {cut.supervisions[0].speaker for cut in open_cuts(path)}


def test_trials_are_of_other_speakers(excerpt: Path, tmp_path: Path) -> None:
    script("egs/librispeech/hubert/local/prepare.py").prepare(excerpt, tmp_path / "all", 3, 1, None, 1)
    split = script(f"{HERE}/local/speakers.py").speakers
    split(tmp_path / "all", tmp_path / "out", 0.5)
    train, valid, trials = (tmp_path / "out" / f"cuts_{name}.jsonl.gz" for name in ("train", "valid", "trials"))
    assert who(train) == who(valid) and len(who(train)) == 5 and len(who(trials)) == 3 and not who(train) & who(trials)
    assert [len(open_cuts(path)) for path in (train, valid, trials)] == [15, 5, 12]
    assert all(abs(cut.duration - 0.5) < 1e-6 for cut in open_cuts(train))
    assert {cut.id for cut in open_cuts(valid)} == {f"{name}-0-0-3" for name in who(train)}
    with pytest.raises(UserError, match="nothing for valid; give more speech of each speaker, or shorter pieces"):
        split(tmp_path / "all", tmp_path / "whole", None)


def test_no_other_speakers(excerpt: Path, tmp_path: Path) -> None:
    script("egs/librispeech/hubert/local/prepare.py").prepare(excerpt, tmp_path / "all", 3, 1, None, 1)
    (tmp_path / "all" / "cuts_valid.jsonl.gz").unlink()
    with pytest.raises(UserError, match="training speakers alone"):
        script(f"{HERE}/local/speakers.py").speakers(tmp_path / "all", tmp_path / "out", 0.5)


@pytest.mark.slow
def test_every_stage_on_an_excerpt(shell: Shell, excerpt: Path, tmp_path: Path) -> None:
    exp = tmp_path / "exp"
    given = ["--corpus-dir", excerpt, "--toy", "--exp", exp]
    said = shell(f"{HERE}/run.sh", *given)
    stages = [line for line in said.stdout.splitlines() if line.startswith("== librispeech-speakers, stage ")]
    assert [line.split()[3] for line in stages] == ["0:", "1:", "2:", "3:"]
    rows = read_results(exp / "results-trained.json")["rows"]
    assert {(r["system"], r["metric"], r["trials"], r["speakers"]) for r in rows} >= {
        (s, "eer", 66, 3) for s in ("trained", "random")
    }
    store.restore(exp / "trained" / "speaker_encoder", expect=SpeakerEncoder)
    assert shell(f"{HERE}/run.sh", *given).stdout.count("finished already") == 3
    encoder = encoder_folder(tmp_path / "encoder")
    shell(f"{HERE}/run.sh", *given, "--encoder", encoder, "--loss", "contrastive", "--stage", "2")
    parents = store.read_meta(exp / "trained-features-contrastive" / "speaker_encoder")["derived_from"]
    assert parents == [store.read_meta(encoder)["fingerprint"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--corpus-dir DIR is needed"),
        (["--loss", "triplet"], "--loss takes classes or contrastive"),
        (["--encoder"], "--encoder takes the folder of an encoder"),
    ],
)
def test_mistakes_on_the_command_line(shell: Shell, arguments: list[str], says: str, tmp_path: Path) -> None:
    assert says in shell(f"{HERE}/run.sh", "--exp", tmp_path / "exp", *arguments, code=2).stderr
