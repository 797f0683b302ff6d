"""conf/system/text_to_units*.yaml: accepted, built at toy size, take a step, write units; their numbers."""

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
from speechunits.stream import Stream
from speechunits.tasks.sequence_to_units import SequenceToUnits
from speechunits.term import loss
from speechunits.text.characters import Characters, fit_characters
from speechunits.text.names import fit_names

SYSTEMS = {
    "text_to_units": Stream(None, (9,), "abc+dedup"),
    "text_to_units_parallel": Stream(Fraction(1, 50), (9,), "abc"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has made before: a text tokenizer and a list of speakers."""
    out = tmp_path_factory.mktemp("parts")
    store.save(fit_characters(["ab cd"]), out / "text", kind="text")
    store.save(fit_names(["ann", "bob"]), out / "names", kind="names")
    return out


def whole(folder: Path, system: str, *changes: str) -> Tree:
    """A configuration as recipes.train takes it, without a mistake."""
    tree = load(
        *(f"system/{system}.yaml", f"size/toy_{system}.yaml", "trainer/cpu.yaml", *changes, "out=X"),
        *("data.train=a.jsonl.gz", "trainer.max_steps=2", f"data.fields.text.tokenizer.folder={folder / 'text'}"),
    )
    assert list(mistakes({"_target_": "recipes.train.train", **tree}, "", False)) == []
    return tree


def batch() -> dict[str, Any]:
    units = [torch.arange(n) % 9 for n in (20, 14)]
    return {
        "text": pad([torch.tensor([1, 2, 0, 3]), torch.tensor([4, 1])], None),
        "units": pad(units, None),
        **{"speaker": ["bob", "ann"], "draws": draws(["a", "b"]), "ids": ["a", "b"]},
    }


@pytest.mark.parametrize("system", SYSTEMS)
def test_cites_its_paper_and_is_short(system: str) -> None:
    lines = (conf_root() / "system" / f"{system}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ") and "http" in "".join(lines[:3]) and len(lines) <= 45


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("text_to_units", []),
        ("text_to_units_parallel", []),
        ("text_to_units", ["condition/speaker.yaml", "model.conditions.speaker.names.folder=DIR/names"]),
        ("text_to_units_parallel", ["condition/speaker.yaml", "model.conditions.speaker.names.folder=DIR/names"]),
        ("text_to_units", ["unit_search/sampled.yaml"]),
        ("text_to_units", ["data.fields.text.normaliser=null", "model.input.normaliser=null"]),
    ],
)
def test_takes_a_step_and_writes(folder: Path, system: str, changes: list[str]) -> None:
    """Counts are those of the terms, every part moves, validation measures what is written."""
    tree = whole(folder, system, *(each.replace("DIR", str(folder)) for each in changes))
    tokenizer: Characters = store.restore(folder / "text")
    streams = {"units": SYSTEMS[system], "text": tokenizer.stream}
    assert check_build(tree["model"], at="model", streams=streams) == []
    torch.manual_seed(0)
    model: SequenceToUnits = build(tree["model"], streams=streams).train()
    one, optimizer = batch(), build(tree["optimizer"])(model.named_parameters())
    counts, terms = model.counts(one), model.terms(one)
    assert {name: int(den) for name, den in counts.items()} == {n: int(t.den) for n, t in terms.items() if t.weight}
    total = loss(terms, counts)
    total.backward()
    assert torch.isfinite(total) and [n for n, p in model.named_parameters() if p.grad is None] == []
    optimizer.step()
    build(tree["schedule"])(optimizer)
    model.range.on_step(1, model)
    found = model.eval().predict(one)
    (measure,) = (build(node) for node in tree["measures"].values())
    measure.update(found, one)
    assert measure.compute().keys() >= {"uer", "exact"}
    assert all(build(node) is not None for node in tree["data"]["fields"].values())


def test_numbers() -> None:
    """fairseq's speech-to-unit decoder; ESPnet's Conformer FastSpeech 2."""
    tree = load("system/text_to_units.yaml")
    head = tree["model"]["head"]
    assert (head["depth"], head["ffn"], head["heads"], head["smoothing"]) == (6, 2048, 8, 0.2)
    assert (tree["optimizer"]["lr"], tree["schedule"]["warmup"], tree["clip"]) == (5e-4, 10000, 10.0)
    model = load("system/text_to_units_parallel.yaml")["model"]
    for stack, kernel in ((model["encoder"], 7), (model["head"]["decoder"], 31)):
        assert (stack["depth"], stack["dim"], stack["heads"], stack["block"]["ffn"]) == (4, 384, 2, 1536)
        assert stack["block"]["kernel"] == kernel
    assert model["head"]["durations"]["hidden"] == 256
