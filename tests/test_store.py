"""Artefacts: bit for bit, named by content, damage and full disks in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from speechunits import store
from speechunits.config import UserError, build, load
from speechunits.encoder import SpeechEncoder
from speechunits.part import fill, node_of
from speechunits.seq import Seq

ROOT = Path(__file__).resolve().parent.parent


class First(nn.Module):
    def __init__(self, width: int, bias: bool = True, sizes: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        self.line = nn.Linear(width, 2, bias)
        self.register_buffer("counts", torch.arange(3, dtype=torch.int64))
        self.register_buffer("small", torch.tensor(0.1, dtype=torch.bfloat16))


class Second(First):
    """First in a later version: one more argument, whose default changes nothing."""

    def __init__(self, width: int, bias: bool = True, sizes: tuple[int, ...] = (1, 2), scale: float = 1.0) -> None:
        super().__init__(width, bias, sizes)


class Wider(First):
    def __init__(self, width: int, bias: bool = True, sizes: tuple[int, ...] = (1, 2)) -> None:
        super().__init__(width + 1, bias, sizes)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "store_cases", sys.modules[__name__])


def toy() -> SpeechEncoder:
    return build(load("system/hubert_base.yaml", "size/toy.yaml")["model"]["encoder"])


def first(width: int = 4, **arguments: object) -> nn.Module:
    torch.manual_seed(0)
    return build({"_target_": "store_cases.First", "width": width, **arguments})


def hidden(folder: Path) -> list[str]:
    """What a failed or finished write left beside the artefacts."""
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


# ------------------------------------------------------------------------------------------------ round trip


def test_an_encoder_comes_back_bit_for_bit(tmp_path: Path):
    encoder = toy().eval()
    name = store.save(encoder, tmp_path / "enc", derived_from=["abc"], updates=7)
    back = store.restore(tmp_path / "enc", expect=SpeechEncoder)
    assert back.fingerprint == name and not back.training
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, back.state_dict()[key])
    audio = Seq(torch.randn(2, 3000), torch.tensor([3000, 2000]), encoder.frontend.rate)
    assert torch.equal(encoder(audio).hidden.final.data, back(audio).hidden.final.data)
    meta = store.read_meta(tmp_path / "enc")
    assert meta["derived_from"] == ["abc"] and meta["updates"] == 7
    assert sorted(p.name for p in (tmp_path / "enc").iterdir()) == ["config.yaml", "meta.json", "weights.safetensors"]
    assert store.save(back, tmp_path / "again") == name


def test_types_and_scalars_survive(tmp_path: Path):
    module = first()
    store.save(module, tmp_path / "a")
    back = store.restore(tmp_path / "a")
    assert (
        back.counts.dtype == torch.int64
        and back.small.dtype == torch.bfloat16
        and torch.equal(back.small, module.small)
    )


def test_what_parents_supplied_is_saved(tmp_path: Path):
    head = fill(build({"_target_": "speechunits.heads.linear.LinearHead"}), dim=4, vocab=(3, 2))
    store.save(head, tmp_path / "head")
    assert store.restore(tmp_path / "head").vocab == (3, 2)


def test_a_part_restored_from_a_folder_is_saved_as_what_it_is(tmp_path: Path):
    """The folder of a part may go: nothing refers to it by path."""
    store.save(first(), tmp_path / "part")
    node = {
        "_target_": "store_cases.Holder",
        "part": {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "part")},
    }
    whole = build(node)
    assert node_of(whole)["part"]["_target_"] == "store_cases.First"
    name = store.save(whole, tmp_path / "whole")
    os.rename(tmp_path / "part", tmp_path / "elsewhere")
    assert store.restore(tmp_path / "whole").fingerprint == name


class Holder(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part


def test_saving_again_replaces_the_folder_whole(tmp_path: Path):
    store.save(first(4), tmp_path / "a")
    (tmp_path / "a" / "stray").touch()
    name = store.save(first(5), tmp_path / "a")
    assert store.read_meta(tmp_path / "a")["fingerprint"] == name
    assert not (tmp_path / "a" / "stray").exists() and hidden(tmp_path) == []


def test_what_was_built_by_hand_cannot_be_saved(tmp_path: Path):
    with pytest.raises(UserError, match="First was built by hand"):
        store.save(First(4), tmp_path / "a")


# ------------------------------------------------------------------------------------------------ fingerprints


def test_the_fingerprint_names_weights_and_arguments():
    tensors = {"w": torch.arange(4.0)}
    node = {"_target_": "store_cases.First", "width": 4}
    one = store.fingerprint(node, tensors)
    assert store.fingerprint({**node, "bias": True, "sizes": [1, 2]}, dict(tensors)) == one  # defaults written out
    others = [
        store.fingerprint({**node, "width": 5}, tensors),
        store.fingerprint({**node, "bias": False}, tensors),
        store.fingerprint(node, {"w": torch.tensor([0.0, 1.0, 2.0, 3.0000002])}),
        store.fingerprint(node, {"v": tensors["w"]}),
        store.fingerprint(node, {"w": tensors["w"].view(2, 2)}),
        store.fingerprint(node, {"w": tensors["w"].view(torch.int32)}),
    ]
    assert len({one, *others}) == 7


def test_an_argument_added_with_its_default_keeps_old_fingerprints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    module = first()
    before = store.save(module, tmp_path / "old")
    monkeypatch.setattr(sys.modules[__name__], "First", Second)
    assert store.save(first(), tmp_path / "new") == before
    assert store.save(first(scale=2.0), tmp_path / "other") != before
    back = store.restore(tmp_path / "old")
    assert isinstance(back, Second) and back.fingerprint == before


def test_a_default_changed_later_leaves_old_artefacts_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    store.save(first(), tmp_path / "old")
    assert load(tmp_path / "old" / "config.yaml") == {
        "_target_": "store_cases.First", "width": 4, "bias": True, "sizes": [1, 2],
    }  # fmt: skip


@pytest.mark.slow
def test_the_fingerprint_is_the_same_in_another_process(tmp_path: Path):
    code = (
        "import sys, torch; from speechunits import store; from speechunits.config import build, load\n"
        "torch.manual_seed(0); e = build(load('system/hubert_base.yaml', 'size/toy.yaml')['model']['encoder'])\n"
        "print(store.save(e, sys.argv[1]))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b")], capture_output=True, text=True, check=True, cwd=ROOT
    )
    torch.manual_seed(0)
    assert out.stdout.strip() == store.save(toy(), tmp_path / "a")


# ------------------------------------------------------------------------------------------------ damage


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda f: flip(f / "weights.safetensors", -1), r"weights\.safetensors: its checksum does not match"),
        (lambda f: flip(f / "weights.safetensors", 0), r"weights\.safetensors: "),
        (lambda f: os.truncate(f / "weights.safetensors", 100), r"weights\.safetensors: missing or damaged"),
        (lambda f: (f / "weights.safetensors").unlink(), r"weights\.safetensors: missing or damaged"),
        (lambda f: (f / "config.yaml").write_text("_target_: store_cases.First\nwidth: 5\n"), r"config\.yaml: changed"),
        (lambda f: (f / "config.yaml").unlink(), r"config\.yaml: changed"),
        (lambda f: (f / "meta.json").unlink(), r"meta\.json is missing"),
        (lambda f: (f / "meta.json").write_text("{"), r"meta\.json: missing or not JSON"),
        (lambda f: (f / "meta.json").write_text('{"format": 1}'), r"meta\.json: of a newer speechunits or damaged"),
        (lambda f: edit_meta(f, format=store.FORMAT + 1), r"meta\.json: of a newer"),
        (lambda f: store.shutil.rmtree(f), r"meta\.json is missing"),
    ],
)
def test_damage_is_named(tmp_path: Path, harm, says: str):
    store.save(first(), tmp_path / "a")
    harm(tmp_path / "a")
    with pytest.raises(UserError, match=says):
        store.restore(tmp_path / "a")


def edit_meta(folder: Path, **values: object) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, **values}))


def test_something_else_than_expected(tmp_path: Path):
    store.save(first(), tmp_path / "a")
    with pytest.raises(UserError, match="holds a First, but a SpeechEncoder is needed here"):
        store.restore(tmp_path / "a", expect=SpeechEncoder)


def test_code_that_changed_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store.save(first(), tmp_path / "a")
    monkeypatch.setattr(sys.modules[__name__], "First", Wider)
    with pytest.raises(UserError, match=r"does not fit this version of the code: .*size mismatch for line\.weight"):
        store.restore(tmp_path / "a")
    monkeypatch.delattr(sys.modules[__name__], "First")
    with pytest.raises(
        UserError,
        match=r"/a: does not fit this version of the code: [\s\S]*  _target_: cannot import 'store_cases.First'",
    ):
        store.restore(tmp_path / "a")


def test_a_renamed_class_is_found_through_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = store.save(first(), tmp_path / "a")
    monkeypatch.setattr(sys.modules[__name__], "Moved", First, raising=False)
    monkeypatch.delattr(sys.modules[__name__], "First")
    monkeypatch.setitem(store.RENAMED, "store_cases.First", "store_cases.Moved")
    back = store.restore(tmp_path / "a")
    assert node_of(back)["_target_"] == "store_cases.Moved" and back.fingerprint == name
