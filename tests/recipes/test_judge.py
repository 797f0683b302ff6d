"""Toy speech, spoiled in known ways, before its judges; who is refused; what cannot be judged."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet

from recipes.judge import judge
from speechunits import recipe, store
from speechunits.config import build
from speechunits.report.results import read_results
from tests.recipes.toy import Corpus
from tests.tasks.hears import FILTERBANK, hears

PROSODY = "prosody._target_=tests.recipes.voices.PeakPitch"


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recogniser") / "asr"
    store.save(hears(FILTERBANK), out, kind="asr", derived_from=["features of old"])
    return out


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("voices") / "speaker_encoder"
    store.save(build({"_target_": "tests.recipes.voices.BandVoice"}), out, kind="speaker_encoder")
    return out


@pytest.fixture(scope="module")
def made(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of audio: the same at half the level, with noise, and as something else altogether."""
    out, random = tmp_path_factory.mktemp("made"), np.random.default_rng(1)
    for name in ("quiet", "noisy", "odd"):
        (out / name).mkdir()
    for i, cut in enumerate(CutSet.from_file(corpus.valid)):
        wave = cut.load_audio()[0]
        soundfile.write(out / "quiet" / f"{cut.id}.wav", 0.5 * wave, 16000, subtype="FLOAT")
        soundfile.write(out / "noisy" / f"{cut.id}.flac", wave + random.normal(0, 0.03, len(wave)), 16000)
        odd = np.zeros(20000) if i == 0 else np.clip(random.normal(0, 1, 20000), -1, 1)
        soundfile.write(out / "odd" / f"{cut.id}.wav", odd, 16000)
    return out


def arguments(corpus: Corpus, out: Path, made: Path, *names: str) -> list[str]:
    return [f"out={out}", f"originals={corpus.valid}", *(f"made.{name}={made / name}" for name in names)]


def table(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = read_results(out / "results.json")["rows"]
    assert len({(r["system"], r["metric"], r.get("judge")) for r in rows}) == len(rows)
    return {(row["system"], row["metric"]): row for row in rows}


def test_everything_of_several_systems(
    corpus: Corpus, made: Path, recogniser: Path, encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "judge"
    given = arguments(corpus, out, made, "quiet", "noisy", "odd")
    given += [f"judges.toy={recogniser}", f"speaker_encoder={encoder}", PROSODY, f"enrolment={corpus.valid}"]
    recipe.run(judge, given)
    rows = table(out)
    value = {key: row["value"] for key, row in rows.items()}
    assert rows["quiet", "mcd"]["utterances"] == 4 and rows["quiet", "mcd"]["split"] == "test"
    assert value["quiet", "mcd"] == pytest.approx(0, abs=1e-3)
    assert value["quiet", "spectral_convergence"] == pytest.approx(0.5, abs=0.01)
    assert value["quiet", "level"] == pytest.approx(value["original", "level"] - 6.02, abs=0.01)
    for metric in ("mcd", "f0_frame_error"):
        assert value["quiet", metric] < value["noisy", metric] < value["odd", metric]
        assert rows["noisy", metric]["low"] <= value["noisy", metric] <= rows["noisy", metric]["high"]
    assert value["quiet", "log_f0_rmse"] == pytest.approx(0, abs=1e-6)
    # an odd one is longer than its original, so that nothing is in step; the first is silent, the others are at full scale
    assert ("odd", "mel_distance") not in rows and value["odd", "silent"] == 25 and value["odd", "clipped"] == 75
    assert value["original", "silent"] == value["quiet", "clipped"] == 0 and value["odd", "seconds"] == 1.25
    log = (out / "judge.log").read_text()
    assert "odd: 1 of 4 utterances are silent: valid0" in log and "made_by names nothing" in log
    # voices: the recordings are nearest to themselves, and what is louder or quieter is the same voice
    assert value["original", "nearest_target"] == value["quiet", "nearest_target"] == 100
    assert 1.0001 > value["quiet", "similarity_original"] > 0.9999 > value["odd", "similarity_original"]
    assert 0 <= value["original", "eer"] <= 100 and value["original", "similarity_source"] is None
    # words: that recogniser does not hear levels as we do, but all systems and the recordings stand side by side
    assert all(rows[name, "wer"]["judge"] == "toy" for name in ("original", "quiet", "noisy", "odd"))
    said = [json.loads(line) for line in (out / "toy" / "noisy-test.jsonl").read_text().splitlines()]
    cuts = {cut.id: cut.supervisions[0] for cut in CutSet.from_file(corpus.valid)}
    assert {x["id"]: (x["said"], x["speaker"]) for x in said} == {k: (s.text, s.speaker) for k, s in cuts.items()}


def test_a_conversion(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    """Every utterance by the other speaker: here a recording of that one, which is therefore nearest to it."""
    cuts = {cut.id: cut for cut in CutSet.from_file(corpus.valid)}
    others = {"valid0": "valid1", "valid1": "valid0", "valid2": "valid3", "valid3": "valid2"}
    moved = [cuts[other].with_id(f"{name}-moved") for name, other in others.items()]
    for cut, name in zip(moved, others, strict=True):
        cut.custom = {"original": name}
    CutSet.from_cuts(moved).to_file(tmp_path / "moved.jsonl.gz")
    recipe.run(
        judge,
        [
            f"out={tmp_path / 'out'}",
            f"originals={corpus.valid}",
            f"made.moved={tmp_path / 'moved.jsonl.gz'}",
            f"speaker_encoder={encoder}",
        ],
    )
    value = {key: row["value"] for key, row in table(tmp_path / "out").items()}
    assert value["moved", "nearest_target"] == 100 and value["moved", "nearest_source"] == 0
    assert value["moved", "similarity_target"] == pytest.approx(value["original", "similarity_target"])
    assert value["moved", "similarity_source"] < value["moved", "similarity_target"]
    assert value["moved", "similarity_original"] is None and 0 <= value["moved", "eer"] <= 50


def test_the_order_and_the_way_to_the_files_change_nothing(corpus: Corpus, made: Path, tmp_path: Path) -> None:
    """A folder of originals with a table of what is said, against the manifest."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    for cut in CutSet.from_file(corpus.valid):
        soundfile.write(folder / f"{cut.id}.wav", cut.load_audio()[0], 16000)
    recipe.run(judge, arguments(corpus, tmp_path / "a", made, "noisy"))
    recipe.run(judge, [f"out={tmp_path / 'b'}", f"originals={folder}", f"made.noisy={made / 'noisy'}"])
    ours, theirs = (read_results(tmp_path / name / "results.json")["rows"] for name in "ab")
    assert [{**row, "value": None, "low": 0, "high": 0} for row in ours] == [
        {**row, "value": None, "low": 0, "high": 0} for row in theirs
    ]
    assert [row["value"] for row in ours] == pytest.approx([row["value"] for row in theirs], rel=1e-3)


def test_what_the_units_cost(corpus: Corpus, made: Path, units: Path, tmp_path: Path) -> None:
    """One bit for one of two speakers in each of four utterances, and runs and their lengths, counted from the stored codes."""
    given = [*arguments(corpus, tmp_path / "out", made, "quiet"), f"units.quiet={units / 'valid.jsonl.gz'}"]
    recipe.run(judge, given)
    value = {key: row["value"] for key, row in table(tmp_path / "out").items()}
    codes = [cut.load_units().flatten() for cut in CutSet.from_file(units / "valid.jsonl.gz")]
    runs = [[(unit, len([*group])) for unit, group in groupby(row.tolist())] for row in codes]
    seconds, bits = sum(map(len, codes)) / 100, 0.0
    for part in (0, 1):
        counts = np.array([*Counter(run[part] for row in runs for run in row).values()])
        bits -= (counts * np.log2(counts / counts.sum())).sum()
    assert value["quiet", "bitrate_speaker"] == pytest.approx(4 / seconds)
    assert value["quiet", "bitrate_voice"] == pytest.approx((bits + 4) / seconds)


def test_further_measures(corpus: Corpus, made: Path, tmp_path: Path) -> None:
    class Loudness(torch.nn.Module):
        def forward(self, wave: torch.Tensor) -> torch.Tensor:
            return wave.abs().mean(1, keepdim=True)

    torch.jit.script(Loudness()).save(str(tmp_path / "net.pt"))
    more = [
        "measures.mos._target_=speechunits.metrics.mos.MOS",
        f"measures.mos.path={tmp_path / 'net.pt'}",
        "measures.mos.trust=true",
    ]
    recipe.run(judge, [*arguments(corpus, tmp_path / "out", made, "quiet"), *more])
    rows = table(tmp_path / "out")
    assert rows["quiet", "mos"]["value"] == pytest.approx(rows["original", "mos"]["value"] / 2, rel=1e-5)


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(given: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["judge", *given])
        with pytest.raises(SystemExit) as end:
            recipe.main(judge)
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1, said
        return said

    return call


def test_a_dependent_judge(
    corpus: Corpus, made: Path, recogniser: Path, tmp_path: Path, fails: Callable[..., str]
) -> None:
    vocoder = tmp_path / "vocoder"
    store.save(build({"_target_": "tests.recipes.voices.BandVoice"}), vocoder, derived_from=["features of old"])
    given = [*arguments(corpus, tmp_path / "out", made, "quiet"), f"judges.toy={recogniser}", f"made_by=[{vocoder}]"]
    assert f"{recogniser}: is not independent of what it judges, both come from features of old" in fails(given)
    assert not (tmp_path / "out" / "results.json").exists()
    recipe.run(judge, [*given, "accept_dependent=true"])
    assert table(tmp_path / "out")["quiet", "wer"]["judge"] == "toy (dependent)"
    assert "IS NOT INDEPENDENT" in (tmp_path / "out" / "judge.log").read_text()


def test_what_cannot_be_judged(
    corpus: Corpus, made: Path, recogniser: Path, encoder: Path, tmp_path: Path, fails: Callable[..., str]
) -> None:
    given = arguments(corpus, tmp_path / "out", made, "quiet")
    assert "made.original: so the recordings themselves are called" in fails(
        [*given, f"made.original={made / 'noisy'}"]
    )
    assert "units.loud: nothing of that name was made; it is one of quiet" in fails([*given, "units.loud=x.jsonl.gz"])
    assert "there does not exist; run the stage that writes it" in fails([*given, f"made.more={tmp_path / 'there'}"])
    assert f"{recogniser}: holds a ASR, which knows no voices" in fails([*given, f"speaker_encoder={recogniser}"])
    assert f"{encoder}: holds a BandVoice, which writes no text" in fails([*given, f"judges.toy={encoder}"])
    assert "no_such: neither an artefact folder nor" in fails(
        [*given, f"judges.toy={recogniser}", f"made_by=[{tmp_path / 'no_such'}]"]
    )
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in (made / "quiet").glob("*.wav"):
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "valid1.wav").unlink()
    assert "1 of 4 have nothing of their id in" in fails([*given, f"made.more={broken}"])
    soundfile.write(broken / "valid1.wav", np.full(8000, np.nan), 16000, subtype="FLOAT")
    assert "valid1.wav): cannot be read (NaN or infinite samples)" in fails([*given, f"made.more={broken}"])
    soundfile.write(broken / "valid1.wav", np.zeros(100), 16000)
    assert "valid1: 100 samples are shorter than a frame of 400" in fails([*given, f"made.more={broken}"])
    mute = [f"out={tmp_path / 'mute'}", f"originals={made / 'noisy'}", f"made.quiet={made / 'quiet'}"]
    assert "nothing says what is said there" in fails([*mute, f"judges.toy={recogniser}"])
    ruled = [*arguments(corpus, tmp_path / "ruled", made, "quiet"), "conf/text/normalisation.yaml"]
    assert "no rules for text of no language" in fails([*ruled, f"judges.toy={recogniser}"])
    assert not (tmp_path / "ruled" / "cuts").exists(), "nothing was heard before"
    assert "has no speaker; name it in the manifest" in fails([*mute, f"speaker_encoder={encoder}"])
