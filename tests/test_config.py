"""Configuration: merging, overrides, all mistakes at once, and a build that allocates nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits.config import ConfigError, UserError, build, check, check_build, dump, load, merge
from speechunits.pretraining import SSLModel
from speechunits.stream import Stream

STREAMS = {"units": Stream(Fraction(1, 50), (5,), "random")}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def model(*overrides: Any) -> dict[str, Any]:
    return load("system/hubert_base.yaml", "size/toy.yaml", *overrides)["model"]


# ------------------------------------------------------------------------------------------------ load


def test_mappings_merge_null_removes_lists_are_replaced():
    under = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge(under, {"a": {"y": [3], "z": 4}, "b": None}) == {"a": {"x": 1, "y": [3], "z": 4}}
    assert under == {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge({"a": 1}, {"a": {"x": None, "y": 2}}) == {"a": {"y": 2}}


def test_a_node_whose_target_changes_is_replaced_whole():
    under = {"n": {"_target_": "a.A", "x": 1}}
    assert merge(under, {"n": {"_target_": "a.B", "y": 2}}) == {"n": {"_target_": "a.B", "y": 2}}
    assert merge(under, {"n": {"_target_": "a.A", "y": 2}}) == {"n": {"_target_": "a.A", "x": 1, "y": 2}}
    assert merge(under, {"n": {"y": 2}}) == {"n": {"_target_": "a.A", "x": 1, "y": 2}}
    assert merge({"n": {"x": 1}}, under) == {"n": {"_target_": "a.A", "x": 1}}  # appearing is not changing


def test_includes_come_first_and_in_order(tmp_path: Path):
    write(tmp_path / "parts" / "one.yaml", "a: 1\nb: 1\nc: 1\n")
    write(tmp_path / "parts" / "two.yaml", "include: [one.yaml]\nb: 2\nc: 2\n")
    top = write(tmp_path / "top.yaml", "include: [parts/one.yaml, parts/two.yaml]\nc: 3\n")
    assert load(top) == {"a": 1, "b": 2, "c": 3}
    assert load(write(tmp_path / "short.yaml", "include: parts/one.yaml\n"))["a"] == 1
    assert load(top, write(tmp_path / "last.yaml", "b: 4\n"), "c=5", {"a": 6}) == {"a": 6, "b": 4, "c": 5}


def test_overrides_are_yaml_values():
    tree = load({"a": {"b": 1, "c": 2}}, "a.b=[1, x]", "a.c=null", "a.d=2.5e-4", "a.e=true", "a.f=k=v", "g.h=1/50")
    assert tree == {"a": {"b": [1, "x"], "d": 2.5e-4, "e": True, "f": "k=v"}, "g": {"h": "1/50"}}


def test_interpolation_is_resolved_after_merging():
    assert load({"dim": 4, "model": {"ffn": "${dim}"}}, "dim=8")["model"]["ffn"] == 8
    with pytest.raises(ConfigError, match="nowhere"):
        load({"a": "${nowhere}"})


def test_a_path_may_hold_an_equals_sign(tmp_path: Path):
    assert load(write(tmp_path / "lr=0.1" / "config.yaml", "a: 1\n")) == {"a": 1}


def test_dump_is_read_back(tmp_path: Path):
    tree = load("system/hubert_large.yaml")
    assert load(write(tmp_path / "again.yaml", dump(tree))) == tree


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not readable as YAML"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("include: [gone.yaml]\n", "gone.yaml: no such"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, text: str, says: str):
    path = write(tmp_path / "bad.yaml", text)
    with pytest.raises(UserError, match=says) as caught:
        load(path)
    assert "bad.yaml" in str(caught.value) or "gone.yaml" in str(caught.value)


def test_includes_in_a_circle_are_named(tmp_path: Path):
    write(tmp_path / "a.yaml", "include: [b.yaml]\n")
    write(tmp_path / "b.yaml", "include: [a.yaml]\n")
    with pytest.raises(UserError, match=r"a\.yaml: includes itself through .*b\.yaml"):
        load(tmp_path / "a.yaml")


def test_what_is_neither_file_nor_override_is_refused():
    with pytest.raises(UserError, match="'--fast' is neither"):
        load("--fast")


# ------------------------------------------------------------------------------------------------ check


def test_all_mistakes_at_once_with_their_paths():
    tree = model(
        "model.encoder.encoder.dept=3", "model.encoder.masker.share=much", "model.encoder.masker.dim=8",
        "model.objectives.units.head._target_=speechunits.heads.nothing.Head", "model.encoder.frontend.norm=???",
        "model.objectives.units.frames=hidden",
    )  # fmt: skip
    del tree["objectives"]["units"]["target"]
    found = {line.partition(": ")[0]: line for line in check(tree)}
    assert found.keys() == {
        "encoder.encoder.dept", "encoder.masker.share", "encoder.masker.dim", "objectives.units.head._target_",
        "encoder.frontend.norm", "objectives.units.frames", "objectives.units",
    }  # fmt: skip
    assert "did you mean 'depth'?" in found["encoder.encoder.dept"]
    assert "needs 'target'" in found["objectives.units"]
    with pytest.raises(ConfigError, match="7 mistake"):
        build(tree, streams=STREAMS)


def test_a_class_outside_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(
        tmp_path / "my_heads.py",
        "import torch\n\nclass Bilinear(torch.nn.Module):\n"
        "    def __init__(self, rank: int = 2, *, dim: int, vocab: tuple[int, ...]) -> None:\n"
        "        super().__init__()\n        self.net = torch.nn.Linear(dim, vocab[0])\n\n"
        "    def forward(self, x):\n        return (self.net(x),)\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    tree = model({"model": {"objectives": {"units": {"head": {"_target_": "my_heads.Bilinear", "rank": 3}}}}})
    built = build(tree, streams=STREAMS)
    assert built.objectives["units"].head.net.out_features == 5
    tree["objectives"]["units"]["head"]["rank"] = "three"
    assert check(tree) == ["objectives.units.head.rank: Bilinear takes rank: int, found 'three'"]


# ------------------------------------------------------------------------------------------------ meta build


@pytest.mark.parametrize("system", ["hubert_base", "hubert_large"])
def test_full_sizes_build_on_the_meta_device(system: str):
    tree = load(f"system/{system}.yaml")["model"]
    assert check_build(tree, streams=STREAMS) == []
    with torch.device("meta"):
        built = build(tree, streams=STREAMS)
    assert isinstance(built, SSLModel) and all(p.is_meta for p in built.parameters())


@pytest.mark.parametrize("frontend", ["log_mel.LogMel", "mfcc.MFCC"])
def test_spectral_frontends_build_on_the_meta_device(frontend: str):
    node = {"_target_": f"speechunits.frontends.{frontend}", "hop": "1/50"}
    assert check_build(model({"model": {"encoder": {"frontend": node}}}), streams=STREAMS) == []


def test_dimensions_that_do_not_meet():
    tree = model("model.encoder.projection=null")
    assert check(tree) == []
    (line,) = check_build(tree, at="model", streams=STREAMS)
    assert line.startswith("model.encoder: SpeechEncoder: the frontend gives 16 features and the encoder takes 32: add")


def test_constructors_of_siblings_speak_together():
    (a, b) = check_build(model("model.encoder.frontend.kernels=[3]", "model.encoder.encoder.heads=5"), streams=STREAMS)
    assert a == "encoder.frontend: ConvFrontend: 1 kernels but 7 strides"
    assert b == "encoder.encoder: TransformerEncoder: dim 32 does not divide into 5 heads"


def test_every_objective_says_what_the_data_lacks():
    tree = model("model.objectives.units.target.field=km500")
    tree["objectives"]["again"] = tree["objectives"]["units"]
    found = check_build(tree, streams=STREAMS)
    assert len(found) == 2 and all("no field 'km500' of stored codes; it has: units" in line for line in found)


@pytest.mark.parametrize(("hop", "says"), [(Fraction(3, 100), "ratio 3/2 is not an integer"), (None, "without a hop")])
def test_labels_at_a_rate_that_does_not_meet_the_frames(hop: Fraction | None, says: str):
    (line,) = check_build(model(), streams={"units": Stream(hop, (5,), "random")})
    assert line.startswith("objectives.units.target: StoredUnits: ") and says in line


@pytest.mark.parametrize("hop", [Fraction(1, 50), None])
def test_streams_come_back_from_a_folder(hop: Fraction | None):
    """Its configuration passes through ``load``, which takes nulls away."""
    stream = Stream(hop, (5, 7), "random")
    assert build(load({"streams": {"text": stream._node}}), stored=True)["streams"]["text"] == stream


def test_errors_of_other_kinds_become_a_line_with_the_path():
    class Odd:
        vocab = property(lambda self: 1 / 0)

    (line,) = check_build(model(), at="model", streams={"units": Odd()})
    assert line.startswith("model.objectives.units.target: AttributeError: ")


def test_check_build_reads_no_weights_of_artefacts(tmp_path: Path):
    from speechunits import store

    store.save(build(model()["encoder"]), tmp_path / "encoder")
    (tmp_path / "encoder" / "weights.safetensors").write_bytes(b"")
    tree = model({"model": {"encoder": {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "encoder")}}})
    assert check_build(tree, streams=STREAMS) == []
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        build(tree, streams=STREAMS)


def test_a_fragment_laid_over_a_system_removes_by_null(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text("model: {head: {a: 1}, penalty: {weight: 10}}\n")
    (tmp_path / "size.yaml").write_text("model: {penalty: null, head: {a: 2}}\n")
    (tmp_path / "whole.yaml").write_text("include: [system.yaml, size.yaml]\nmodel: {head: {b: 3}}\n")
    expected = {"model": {"head": {"a": 2}}}
    assert load(tmp_path / "system.yaml", tmp_path / "size.yaml") == expected
    assert load(tmp_path / "whole.yaml") == {"model": {"head": {"a": 2, "b": 3}}}
