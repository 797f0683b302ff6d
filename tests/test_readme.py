"""README.md: its Python runs, its commands are accepted, its links lead somewhere."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechunits import cli, store
from speechunits.commands import run
from speechunits.config import build, load
from speechunits.exchange.source import read_quantizer
from speechunits.signature import mistakes
from speechunits.units.dedup import Dedup
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer
from tests.exchange import toy as foreign
from tests.tasks.hears import UNITS, hears

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TOKENIZER = "exp/demo/km_it2/tokenizer"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def lines_of_shell() -> list[list[str]]:
    return [words for block in blocks("bash") for line in block.splitlines() if (words := shlex.split(line, True))]


def recipes() -> list[str]:
    """Every ``speechunits run NAME ...`` and, in the table of recipes, every ``... NAME ...``."""
    found = re.findall(r"`(?:speechunits run|\.\.\.) (\w.*?)`", TEXT)
    assert {line.split()[0] for line in found} == {*run.recipes()} - {"make_demo_corpus"}, "each recipe has a line"
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what README.md's lines name: the demo's tokenizer, some speech, a model and codebooks of others."""
    torch.manual_seed(0)
    source: Features = build({"_target_": f"{Features.__module__}.Features", "source": _target("frontends.mfcc.MFCC")})
    codebook = build({**_target("quantizers.kmeans.KMeans"), "size": 9}, dim=source.dim)
    codebook.centroids.normal_(0, 20)
    tokenizer = UnitTokenizer.join(source, codebook)
    tokenizer.save(tmp_path / TOKENIZER)
    store.save(hears(UNITS, {"units": Dedup().over(tokenizer.stream)}), tmp_path / "exp/demo/asr/units/asr", kind="asr")
    soundfile.write(tmp_path / "speech.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    foreign.folder(foreign.model("hubert", num_hidden_layers=6), tmp_path / "facebook" / "hubert-base-ls960")
    np.save(tmp_path / "km100.npy", np.random.default_rng(0).normal(size=(100, 24)))
    store.save(read_quantizer(tmp_path / "km100.npy"), tmp_path / "km100")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _target(place: str) -> dict[str, str]:
    return {"_target_": f"speechunits.{place}"}


def test_the_python_runs(folder: Path) -> None:
    names: dict[str, object] = {}
    for block, shape, vocab in zip(blocks("python"), [(1, 98, 1), (1, 49, 1)], [(9,), (100,)], strict=True):
        exec(compile(block, "README.md", "exec"), names)
        assert names["units"].ids.data.shape == shape and names["units"].vocab == vocab  # type: ignore[attr-defined]


def test_the_commands_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [words for words in lines_of_shell() if words[0] == "speechunits"]
    assert [words[1] for words in commands] == ["info", "encode", "transcribe", "import", "import", "export"]
    for words in commands:
        monkeypatch.setattr(sys, "argv", words)
        cli.main()
    said = capsys.readouterr().out.splitlines()
    name = store.read_meta(TOKENIZER)["fingerprint"]
    assert said[0] == f"{TOKENIZER}: tokenizer {name}"
    imported = said[-3:]
    encoded = next(i for i, line in enumerate(said) if line.startswith("{"))
    assert json.loads(said[encoded])["fingerprint"] == name
    assert said[encoded + 1] == "1" and said[encoded + 2].startswith("00:00:00,") and len(said) > encoded + 6
    what = ["exp/hubert: encoder ", "exp/km100: tokenizer ", "exp/hubert_transformers: hubert model"]
    assert all(line.startswith(begins) for line, begins in zip(imported, what, strict=True))


def test_the_scripts_are_there() -> None:
    scripts = [words[0] for words in lines_of_shell() if words[0].startswith("./")]
    assert len(scripts) == 2 and all(os.access(ROOT / script, os.X_OK) for script in scripts)


@pytest.mark.parametrize("line", recipes())
def test_the_keys_of_a_recipe_are_accepted(line: str) -> None:
    """As typed, with nothing missing, but where the line ends with dots or names a file of the reader's own."""
    name, *arguments = line.split()
    made = getattr(importlib.import_module(f"recipes.{name}"), name)
    given = [a for a in arguments if a not in ("...", "SYSTEMS.yaml")]
    tree = load(*(str(ROOT / a) if a.endswith(".yaml") else a for a in given))
    found = list(mistakes({"_target_": f"recipes.{name}.{name}", **tree}, "", False))
    if given != arguments:
        found = [mistake for mistake in found if " needs '" not in mistake and "must be given" not in mistake]
    assert found == [] and callable(made)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", TEXT))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
