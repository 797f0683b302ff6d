"""Configurations that cannot work: exit code 2 and where the mistake is, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipes.evaluate import evaluate
from recipes.fit_units import fit_units
from recipes.train import train
from tests.bad_input.spoil import left
from tests.recipes.toy import Corpus, fit_arguments, train_arguments


def test_mistakes_are_listed_together_before_anything_is_made(fails: Any, units: Path, tmp_path: Path) -> None:
    wrong = ["trainer.max_stpes=3", "optimizer.lr=fast", "data.train=???", "model.encoder.frontend._target_=no.Such"]
    said = fails(train, [*train_arguments(units, tmp_path / "out"), *wrong], lines=5)
    assert said.startswith("error: 4 mistake(s) in the configuration:")
    for says in ("did you mean 'max_steps'?", "optimizer.lr: ", "data.train: must be given", "cannot import 'no.Such'"):
        assert says in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("trainer.max_steps=null", "trainer: build_trainer: "),
        ("trainer.accelerator=gpu", "no usable GPU"),
        ("init_from=nowhere", "nowhere: not an artefact folder"),
        ("model.encoder.encoder.heads=3", "does not divide into 3 heads"),
        ("data.max_seconds=0.5", "longer than max_seconds = 0.5"),
    ],
)
def test_values_that_cannot_work(fails: Any, units: Path, tmp_path: Path, wrong: str, says: str) -> None:
    several = wrong.startswith(("model", "trainer"))
    said = fails(train, [*train_arguments(units, tmp_path / "out"), wrong], lines=2 if several else 1)
    assert says in said and "encoder" not in left(tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("fitter.reservoir=5", "fitter: KMeansFitter: a reservoir of 5 frames cannot seed 8 clusters"),
        ("fitter.share=0", "fitter: KMeansFitter: share is 0"),
        ("features.read=layer:3", "only 'clean' can be read"),
        ("device=abacus", "device=abacus: not on this machine"),
        ("features._target_=speechunits.frontends.mfcc.MFCC", "must build speechunits.units.features.Features"),
    ],
)
def test_fits_that_cannot_work(fails: Any, corpus: Corpus, tmp_path: Path, wrong: str, says: str) -> None:
    arguments = [*fit_arguments(corpus, tmp_path / "out"), wrong]
    if "_target_" in wrong:
        arguments = [a for a in arguments if not a.startswith("features.") or a == wrong]
    said = fails(fit_units, arguments, lines=2 if wrong.startswith(("features.read", "fitter")) else 1)
    assert says in said and not left(tmp_path / "out") - {"fit"}


def test_more_clusters_than_frames(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    said = fails(fit_units, fit_arguments(corpus, tmp_path / "out", size=800))
    assert "800 clusters need at least as many frames" in said and "tokenizer" not in left(tmp_path / "out")


def test_an_evaluation_that_cannot_work(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    place, out = "systems.a._target_=speechunits.units.feature_bank.FeatureBank", tmp_path / "out"
    source = "systems.a.source._target_=speechunits.frontends.mfcc.MFCC"
    about = [f"out={out}", f"symbols={corpus.symbols}", f"data.fit={corpus.train}", f"data.valid={corpus.valid}"]
    assert "data: needs a manifest under each of fit, valid and test; test is missing" in fails(
        evaluate, [*about, place, source]
    )
    rest = [*about, f"data.test={corpus.valid}", place, source]
    said = fails(evaluate, [*rest, "systems.a.reads=[layer:1]"], lines=2)
    assert "systems.a" in said and "only 'clean' can be read" in said
    said = fails(evaluate, [*rest, f"symbols={tmp_path / 'phones.json'}"])
    assert "phones.json" in said and not left(out)
