"""Folders, places and codebooks that do not belong together, through the command lines: exit code 2, one sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.evaluate import evaluate
from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from recipes.probe import probe
from recipes.train import train
from speechunits import cli, store
from speechunits.config import build, load
from speechunits.errors import UserError
from speechunits.text.characters import fit_characters
from tests.bad_input.spoil import left
from tests.recipes.toy import Corpus

BANK = "speechunits.units.feature_bank.FeatureBank"


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artefacts")
    store.save(build(load("system/hubert_base.yaml", "size/toy.yaml")["model"]["encoder"]), out / "encoder")
    store.save(fit_characters(["sil a e o u"]), out / "text", kind="text")
    return out / "encoder"


def fit_arguments(corpus: Corpus, out: Path, source: Path, read: str) -> list[str]:
    about = [f"out={out}", f"cuts={corpus.train}", "fitter.size=4"]
    return ["conf/units/kmeans.yaml", *about, f"features.source.folder={source}", f"features.read={read}"]


PLACES = [
    ("layer:99", "'layer:99': the encoder has layers 0 to 2"),
    ("layer:abc", "'layer:abc' cannot be read; use final"),
    ("layer:²", "'layer:²' cannot be read; use final"),
    ("ffn:99", "'ffn:99' cannot be read"),
    ("branch:slow", "'branch:slow' cannot be read"),
    ("fnal", "'fnal' cannot be read"),
]


@pytest.mark.parametrize(("read", "says"), PLACES)
def test_places_that_no_encoder_has(
    fails: Any, read: str, says: str, encoder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert says in fails(fit_units, fit_arguments(corpus, out, encoder, read), lines=2)
    text = f"data.fields.text.tokenizer.folder={encoder.parent / 'text'}"
    tune = ["conf/finetune/small.yaml", "conf/trainer/cpu.yaml", f"model.encoder.folder={encoder}", text]
    said = fails(train, [*tune, f"out={out}", f"data.train={corpus.train}", f"model.read={read}"], lines=2)
    assert says in said and not left(out)


@pytest.mark.parametrize("kind", ["tokenizer", "text", "nothing"])
def test_features_of_what_is_no_encoder(
    fails: Any, kind: str, encoder: Path, tokenizer: Path, corpus: Corpus, tmp_path: Path
) -> None:
    source = {"tokenizer": tokenizer, "text": encoder.parent / "text", "nothing": tmp_path / "nothing"}[kind]
    said = fails(fit_units, fit_arguments(corpus, tmp_path / "out", source, "clean"), lines=2)
    assert ("not an artefact folder" if kind == "nothing" else "which gives no frames: give a SpeechEncoder") in said
    assert not left(tmp_path / "out")


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("reads: []", "reads is [] and pools is ['first']: give at least one of each"),
        ("reads: [layer:1, fnal]", "'fnal' cannot be read"),
        ("_target_: speechunits.units.features.Features", "systems.b: a system is a speechunits.units.feature_bank"),
    ],
)
def test_every_system_is_looked_at_before_the_first_is_measured(
    fails: Any, second: str, says: str, encoder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    source = f"source: {{_target_: speechunits.store.restore, folder: {encoder}}}"
    nodes = [f"systems.a={{_target_: {BANK}, {source}, reads: [layer:1]}}", f"systems.b={{{second}, {source}}}"]
    nodes[1] = nodes[1] if "_target_: speechunits.units.features" in nodes[1] else nodes[1].replace(
        "{", f"{{_target_: {BANK}, ", 1
    )  # fmt: skip
    out = tmp_path / "out"
    data = [f"data.{split}={corpus.valid}" for split in ("fit", "valid", "test")]
    said = fails(evaluate, [f"out={out}", f"symbols={corpus.symbols}", *data, *nodes], lines=2)
    assert says in said and not left(out)
    about = [f"out={out}", f"cuts={corpus.train}", "folds=[[train-0]]"]
    assert says in fails(probe, [*about, *nodes], lines=2) and not left(out)


def test_a_probe_that_cannot_work(fails: Any, encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    source = f"source: {{_target_: speechunits.store.restore, folder: {encoder}}}"
    about = [
        f"out={tmp_path / 'out'}",
        f"cuts={corpus.train}",
        f"systems.a={{_target_: {BANK}, {source}, reads: [final]}}",
    ]
    assert "folds: []: give at least one" in fails(probe, [*about, "folds=[]"])
    assert "leave at least two speakers out of each" in fails(probe, [*about, "folds=[[train-0]]"])
    assert "device=abacus: not on this machine" in fails(probe, [*about, "folds=[[train-0]]", "device=abacus"])
    two = f"systems.a=[{{_target_: {BANK}, {source}}}]"
    assert "systems.a: a list of 1 for 3 seeds" in fails(probe, [*about, two, "folds=[[train-0]]"], lines=2)
    assert not left(tmp_path / "out")


def test_what_encodes_no_text(fails: Any, encoder: Path, tokenizer: Path, corpus: Corpus, tmp_path: Path) -> None:
    for folder, kind in ((encoder, "SpeechEncoder"), (tokenizer, "UnitTokenizer")):
        about = ["conf/finetune/small.yaml", "conf/trainer/cpu.yaml", f"out={tmp_path / 'out'}"]
        about += [f"model.encoder.folder={encoder}", f"data.train={corpus.train}"]
        about.append(f"data.fields.text.tokenizer.folder={folder}")
        assert f"tokenizer is a {kind}, which encodes no text" in fails(train, about, lines=2)
        assert not left(tmp_path / "out")


@pytest.mark.parametrize("spoil", ["meta.json", "config.yaml", "weights.safetensors", "derived_from", "empty", "file"])
def test_a_tokenizer_that_is_not_whole(fails: Any, spoil: str, tokenizer: Path, corpus: Corpus, tmp_path: Path) -> None:
    bad, out = tmp_path / "bad", tmp_path / "out"
    if spoil == "file":
        bad.write_text("x")
    elif spoil == "empty":
        bad.mkdir()
    else:
        shutil.copytree(tokenizer, bad)
        if spoil == "derived_from":
            meta = json.loads((bad / "meta.json").read_text())
            (bad / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if k != spoil}))
        else:
            raw = (bad / spoil).read_bytes()
            (bad / spoil).write_bytes(raw[: len(raw) // 2])
    audio = corpus.folder / "wav" / "train0.wav"
    for said in (
        fails(extract_units, [f"out={out}", f"tokenizer={bad}", f"cuts.a={corpus.train}"]),
        fails(cli.main, ["encode", bad, audio, "-o", out / "units.jsonl"]),
        fails(cli.main, ["export", bad, out / "export"]) if spoil != "weights.safetensors" else str(bad),
    ):
        assert str(bad) in said
    assert not left(out)


def test_places_that_cannot_be_written(
    fails: Any, tokenizer: Path, encoder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """Known before anything is read, let alone encoded."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    audio = corpus.folder / "wav" / "train0.wav"
    for out, says in (("folder", "is a folder; give the name of a file"), ("file/units", "Not a directory")):
        assert says in fails(cli.main, ["encode", tokenizer, audio, "-o", tmp_path / out])
    for command in (["export", encoder], ["import", "no/such/model"]):
        assert "exists already" in fails(cli.main, [*command, tmp_path / "folder"])
        assert "Not a directory" in fails(cli.main, [*command, tmp_path / "file" / "x"])
        assert "cannot be written" in fails(cli.main, [*command, "/proc/model"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_codebooks_of_something_else(fails: Any, tokenizer: Path, encoder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mfcc.npy", np.random.default_rng(0).standard_normal((5, 39)))
    joined = ["--encoder", encoder, "--layer"]
    said = fails(cli.main, ["import", tmp_path / "mfcc.npy", tmp_path / "out", *joined, 1])
    assert "centroids of 39 features, but layer:1" in said and "has 32" in said
    assert "has layers 0 to 2" in fails(cli.main, ["import", tmp_path / "mfcc.npy", tmp_path / "out", *joined, 9])
    assert "a codebook of the encoder" in fails(cli.main, ["import", tokenizer, tmp_path / "out", *joined, 1])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "speechunits.store.write_text", "builtins.exec"])
def test_an_artefact_calls_nothing_but_parts(fails: Any, target: str, tokenizer: Path, tmp_path: Path) -> None:
    """The configuration of a folder from elsewhere, with checksums that match."""
    bad, trap = tmp_path / "bad", tmp_path / "trap"
    shutil.copytree(tokenizer, bad)
    arguments = {"os.system": "command", "subprocess.Popen": "args", "builtins.exec": "source"}
    config = f"_target_: {target}\n{arguments.get(target, 'path')}: {trap if 'store' in target else f'touch {trap}'}\n"
    (bad / "config.yaml").write_text(config + ("text: x\n" if "store" in target else ""))
    meta = json.loads((bad / "meta.json").read_text())
    meta["config_sha256"] = hashlib.sha256((bad / "config.yaml").read_bytes()).hexdigest()
    (bad / "meta.json").write_text(json.dumps(meta))
    said = fails(cli.main, ["encode", bad, "x.wav"], lines=2)
    assert f"an artefact is made of parts, and {target} is none" in said and not trap.exists()
    with pytest.raises(UserError, match="is made of parts"):
        store.untrained(bad)
    assert not trap.exists()
