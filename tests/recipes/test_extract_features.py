"""extract_features: stored vectors are the encoder's, from any number of processes; training needs nothing but them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.extract_features import extract_features
from speechunits import store
from speechunits.config import build, load
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, FeaturesField
from speechunits.recipe import run
from speechunits.stream import Stream
from speechunits.units.features import Features
from tests.recipes.toy import Corpus, several


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("parts") / "encoder"
    store.save(build(load("system/hubert_large.yaml", "size/toy.yaml")["model"]["encoder"]), folder, kind="encoder")
    return folder


def arguments(corpus: Corpus, encoder: Path, out: Path, *more: str) -> list[str]:
    given = [f"out={out}", f"features.source.folder={encoder}", f"cuts.train={corpus.train}", "max_seconds=2.5"]
    return [*given, *(more or ("features/layer.yaml", "features.read=layer:2"))]


def test_stored_vectors_are_the_encoders(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    mark = run(extract_features, arguments(corpus, encoder, tmp_path / "out"))
    cuts = open_cuts(tmp_path / "out" / "train.jsonl.gz")
    field, audio = FeaturesField().bind(cuts), AudioField()
    features = Features(store.restore(encoder), "layer:2")
    for cut in cuts:
        expected = features(audio.collate([audio.load(cut)])).data[0]
        torch.testing.assert_close(field.load(cut), expected, rtol=1e-3, atol=1e-3)
    assert cuts.streams == {"features": Stream(features.hop, (), mark["fingerprint"], (32,))}
    assert mark["train"] == {"cuts": 10, "unreadable": 0}
    assert set(mark["made_from"].values()) == {store.read_meta(encoder)["fingerprint"]}
    made = store.restore(tmp_path / "out" / "features", expect=Features)
    assert made.fingerprint == mark["fingerprint"] and (made.read, made.shape) == ("layer:2", (32,))


def test_several_layers_and_an_input_that_reads_them(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    more = ("features/layers.yaml", "features.layers=[0,2]", "field=stack")
    run(extract_features, arguments(corpus, encoder, tmp_path / "out", *more))
    cuts = open_cuts(tmp_path / "out" / "train.jsonl.gz")
    dataset = BatchDataset(cuts, {"stack": FeaturesField("stack"), "audio": AudioField()})
    batch = dataset[Planned(0, (0, 3, 7))].batch
    tree: dict[str, Any] = {
        "_target_": "speechunits.inputs.feature_input.FeatureInput",
        "field": "stack",
        "read": {"_target_": "speechunits.heads.weighted_sum.WeightedSum"},
    }
    heard = build(tree, streams=dataset.streams)(batch)
    look = store.restore(encoder)(batch["audio"])
    mean = (look.read("layer:0").data + look.read("layer:2").data) / 2
    assert heard.lengths.equal(look.clean.lengths)
    torch.testing.assert_close(heard.data, mean * look.clean.valid[..., None], rtol=1e-3, atol=2e-3)


@pytest.mark.slow
def test_two_processes_write_the_bytes_of_one(corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    run(extract_features, arguments(corpus, encoder, tmp_path / "one"))
    several(2, "extract_features", arguments(corpus, encoder, tmp_path / "two"))
    names = sorted(p.name for p in (tmp_path / "one").glob("train*"))
    assert len(names) == 3
    for name in names:
        one, two = ((tmp_path / out / name).read_bytes() for out in ("one", "two"))
        assert one == two or name.endswith("jsonl.gz"), name  # a manifest says where its arrays lie
    one, two = (
        FeaturesField().bind(c) for c in map(open_cuts, (tmp_path / n / "train.jsonl.gz" for n in ("one", "two")))
    )
    assert one.stream == two.stream
