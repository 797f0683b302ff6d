"""conf/system/speaker_encoder.yaml and conf/speaker: accepted, built at toy size, they take a step; the published numbers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build, conf_root, load
from speechunits.draws import draws
from speechunits.part import Tree
from speechunits.seq import pad
from speechunits.signature import mistakes
from speechunits.term import loss
from speechunits.text.names import fit_names
from tests.inputs.toy import encoder_folder

SMALL = [f"model.speaker_encoder.encoder.{each}" for each in ("depth=1", "dim=16", "heads=2", "block.ffn=16")]
NAMES = "model.losses.speaker.names.folder=DIR/names"
FEATURES = ["speaker/features.yaml", "model.speaker_encoder.input.encoder.folder=DIR/encoder"]
VARIANTS: dict[str, list[str]] = {
    "system": [*SMALL, NAMES],
    "contrastive": [*SMALL, "speaker/contrastive.yaml"],
    "features": [*FEATURES, NAMES],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parts")
    store.save(fit_names(["ann", "bo"]), out / "names", kind="names")
    encoder_folder(out / "encoder")
    return out


def whole(folder: Path, variant: str) -> Tree:
    given = [each.replace("DIR", str(folder)) for each in VARIANTS[variant]]
    rest = ["trainer/cpu.yaml", "out=X", "data.train=a.jsonl.gz", "trainer.max_steps=2"]
    tree = load("system/speaker_encoder.yaml", *given, *rest)
    assert list(mistakes({"_target_": "recipes.train.train", **tree}, "", False)) == []
    return tree


def batch() -> dict[str, Any]:
    audio = [torch.randn(n) for n in (48000, 20000)]
    return {"audio": pad(audio, Fraction(1, 16000)), "speaker": ["ann", "bo"], "draws": draws(["a", "b"])}


def test_every_fragment_is_tried() -> None:
    assert {path.stem for path in (conf_root() / "speaker").glob("*.yaml")} == set(VARIANTS) - {"system"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_step(variant: str, folder: Path) -> None:
    tree = whole(folder, variant)
    assert check_build(tree["model"], at="model", streams={}) == []
    model, one = build(tree["model"], streams={}).train(), batch()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = build(tree["optimizer"])(trained.items())
    counts, terms = model.counts(one), model.terms(one)
    total = loss(terms, counts)
    total.backward()
    assert torch.isfinite(total) and [n for n, p in trained.items() if p.grad is None or not p.grad.any()] == []
    build(tree["schedule"])(optimizer)
    assert model.eval().predict(one)["voice"].shape == (2, 192)
    assert build(tree["data"]).max_seconds == 600 and set(build(tree["measures"])) == {"verification"}


def test_the_published_numbers() -> None:
    """The authors' start.sh, main.py and loss/amsoftmax.py: 200 pieces of 3 s, warm-up of 2000 updates."""
    tree = load("system/speaker_encoder.yaml")
    model, encoder = tree["model"], tree["model"]["speaker_encoder"]["encoder"]
    assert (encoder["depth"], encoder["dim"], encoder["heads"], model["speaker_encoder"]["dim"]) == (6, 256, 4, 192)
    head = model["losses"]["speaker"]
    assert (head["margin"], head["scale"], head["added_to"]) == (0.2, 30, "cosine")
    assert tree["data"]["max_seconds"] / tree["data"]["transforms"][0]["max_seconds"] == 200
    assert (tree["optimizer"]["lr"], tree["schedule"]["warmup"]) == (1e-3, 2000)
