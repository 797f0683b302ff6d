"""conf/system/unit_prosody: accepted, built at its size and at toy size, takes a step that moves every parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check, check_build, load
from speechunits.nn.speaker_prosody import fit_speaker_prosody
from speechunits.signature import mistakes
from speechunits.term import loss
from speechunits.text.names import fit_names
from tests.tasks.test_prosody_predictor import STREAMS, batch

TOY = {"model.encoder.depth": 1, "model.encoder.dim": 16, "model.encoder.block.ffn": 16, "model.input.dim": 16}


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    whole = batch(0, 1)
    store.save(fit_names(["al", "bo"]), tmp_path / "names", kind="names")
    speakers = fit_speaker_prosody([(whole["speaker"], whole["prosody"])], "fp")
    store.save(speakers, tmp_path / "speakers", kind="speaker_prosody")
    names = f"model.conditions.speaker.names.folder={tmp_path / 'names'}"
    return [
        names,
        f"model.speakers.folder={tmp_path / 'speakers'}",
        "data.train=a.jsonl.gz",
        "out=X",
        "trainer.max_steps=1",
    ]


def test_one_step(given: list[str]) -> None:
    tree = load("system/unit_prosody.yaml", "trainer/cpu.yaml", *given, *(f"{k}={v}" for k, v in TOY.items()))
    assert list(mistakes({"_target_": "recipes.train.train", **tree}, "", False)) == [] and check(tree) == []
    assert check_build(tree["model"], at="model", streams=STREAMS) == []
    model: Any = build(tree["model"], streams=STREAMS).train()
    optimizer = build(tree["optimizer"])(model.named_parameters())
    build(tree["schedule"])(optimizer)
    one = batch(3, 4, 7)
    one["prosody"] = one["prosody"].to(torch.float32)
    total = loss(model.terms(one), model.counts(one))
    total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer.step()
    assert total.isfinite() and [n for n, p in model.named_parameters() if p.equal(before[n])] == []


def test_its_size_is_that_of_the_paper(given: list[str]) -> None:
    """Four blocks and predictors of 256 channels; the rate of the schedule's peak is 2.8e-4."""
    tree = load("system/unit_prosody.yaml", *given)
    model = build(tree["model"], streams=STREAMS)
    assert (model.encoder.depth, model.encoder.dim) == (4, 256)
    assert [p.shape for p in model.contours.pitch.convs.parameters()][:1] == [(256, 256, 3)]
    optimizer = build(tree["optimizer"])([("x", torch.nn.Parameter(torch.zeros(1)))])
    (factor,) = build(tree["schedule"])(optimizer).lr_lambdas
    assert max(factor(n) for n in range(0, 20000, 100)) == pytest.approx(256**-0.5 * 4000**-0.5, rel=1e-3)
