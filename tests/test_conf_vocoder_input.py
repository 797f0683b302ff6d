"""conf/vocoder/input: what a vocoder hears in place of units of one layer builds on what a corpus offers, and speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechunits.config import build, check_build, load
from speechunits.draws import draws
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer
from tests.tasks.voiced import DURATIONS, GENERATOR, HOP, INPUT

REST = {"model": {"vocoder": {"input": INPUT, "generator": GENERATOR, "durations": DURATIONS}}}
STACKED = "data.fields.units.fields={low: {_target_: speechunits.data.fields.UnitsField, key: units_l3}}"


@pytest.mark.parametrize(
    ("name", "streams"),
    [
        ("soft_units", {"features": Stream(HOP, (), "fp", (39,))}),
        ("scalable", {"units": Stream(HOP, (5, 6, 7), "abc&def&ghi")}),
    ],
)
def test_it_speaks(name: str, streams: dict[str, Stream], tmp_path: Path) -> None:
    given = [STACKED]
    if name == "soft_units":
        source = build(
            {"_target_": f"{Features.__module__}.Features", "source": {"_target_": "speechunits.frontends.mfcc.MFCC"}}
        )
        quantizer = build({"_target_": "speechunits.quantizers.kmeans.KMeans", "size": 9}, dim=source.dim)
        UnitTokenizer.join(source, quantizer).save(tmp_path / "tokenizer")
        given = [f"model.vocoder.input.predictor.quantizer.folder={tmp_path / 'tokenizer'}"]
    tree = load(REST, f"vocoder/input/{name}.yaml", *given)
    node = {"_target_": "speechunits.tasks.unit_vocoder.UnitVocoder", **tree["model"]["vocoder"]}
    assert check_build(node, at="model.vocoder", streams=streams) == []
    made: UnitVocoder = build(node, streams=streams)
    assert set(build(tree["data"]["fields"])) == {*streams}
    ids = torch.stack([torch.randint(v, (8,)) for v in (5, 6, 7)], 1)
    stored = {"features": torch.randn(8, 39), "units": ids}
    batch = {field: pad([stored[field]], HOP) for field in streams}
    heard = made.train()(batch, draws(["a"]))
    assert heard.data.shape == (1, 8 * 320)
    total = heard.data.square().sum() + sum(
        (t.num for t in made.duration_terms(batch | {"draws": draws(["a"])}).values()), 0
    )
    total.backward()
    assert [n for n, p in made.named_parameters() if p.requires_grad and p.grad is None] == []
