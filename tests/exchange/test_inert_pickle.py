"""Checkpoints read as data: tensors bit for bit, classes as inert objects, and nothing that a file asks for is run."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits.errors import UserError
from speechunits.exchange.inert_pickle import Inert, is_checkpoint, read_checkpoint

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-zip"])


class Runs:
    """Its pickle asks for a function to be called: here one that creates a file."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def save(value: Any, path: Path, zipped: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


@FORMATS
def test_tensors_bit_for_bit(zipped: bool, tmp_path: Path) -> None:
    whole = torch.randn(5, 7)
    value = {
        "args": argparse.Namespace(heads=4, nested=argparse.Namespace(name="x")),
        "plain": whole, "part": whole[1:3, ::2], "turned": whole.T, "scalar": torch.tensor(3.5), "none": torch.zeros(0, 4),
        "half": torch.randn(3).half(), "wide": torch.randn(3).double(), "bf16": torch.randn(3).bfloat16(),
        "numbers": torch.arange(4), "flags": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }  # fmt: skip
    path = save(value, tmp_path / "c.pt", zipped)
    assert is_checkpoint(path)
    found = read_checkpoint(path)
    assert isinstance(found["args"], Inert) and found["args"].origin == "argparse.Namespace"
    assert found["args"].state["heads"] == 4 and found["args"].state["nested"].state == {"name": "x"}
    for name, tensor in value.items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype, name
    assert (
        found["part"].untyped_storage().data_ptr() == found["plain"].untyped_storage().data_ptr()
    )  # shared, as it was


@FORMATS
def test_classes_that_do_not_exist_here(zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("fairseq_of_old")

    class Dictionary:
        def __init__(self) -> None:
            self.symbols = ["<s>", "0"]

    class Kind(dict):  # a mapping: its items come apart from its state
        pass

    Dictionary.__module__ = Kind.__module__ = "fairseq_of_old"
    Dictionary.__qualname__, Kind.__qualname__ = "Dictionary", "Kind"
    module.Dictionary, module.Kind = Dictionary, Kind
    monkeypatch.setitem(sys.modules, "fairseq_of_old", module)
    path = save({"d": Dictionary(), "k": Kind(a=1), "x": torch.ones(2)}, tmp_path / "c.pt", zipped)
    monkeypatch.delitem(sys.modules, "fairseq_of_old")
    found = read_checkpoint(path)
    assert found["d"].origin == "fairseq_of_old.Dictionary" and found["d"].state == {"symbols": ["<s>", "0"]}
    assert found["k"].items == [("a", 1)] and found["x"].tolist() == [1, 1]


@FORMATS
@pytest.mark.parametrize("at", ["value", "key", "state"])
def test_a_reducer_does_not_run(at: str, zipped: bool, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    runs = [Runs(os.system, f"touch {trap}"), Runs(os.mkdir, str(trap)), Runs(exec, f"open({str(trap)!r}, 'w')")]
    for i, run in enumerate(runs):
        value = {"value": {"w": run}, "key": {(1, run): 2}, "state": argparse.Namespace(x=run)}[at]
        path = save({"v": value, "t": torch.ones(1)}, tmp_path / f"{i}.pt", zipped)
        assert read_checkpoint(path)["t"].tolist() == [1]
        assert not trap.exists()
    with pytest.raises(FileExistsError):  # the trap is one: torch itself runs it where it is trusted
        os.mkdir(tmp_path)
    torch.load(tmp_path / "1.pt", weights_only=False)
    assert trap.exists()


class Program(io.BytesIO):
    """A pickle by hand, for what no class would write."""

    def asks(self, module: str, name: str) -> Program:
        self.write(f"c{module}\n{name}\n".encode())
        return self


def zipped_program(program: bytes, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/data/0", bytes(16))
        archive.writestr("a/version", "3\n")
    return path


@pytest.mark.parametrize(
    "program",
    [
        # getattr of what is let in, towards its globals; a dotted name; a change of the tensor builder; of OrderedDict
        b"\x80\x02cbuiltins\ngetattr\n(ctorch._utils\n_rebuild_tensor_v2\nX\x0b\x00\x00\x00__globals__tR.",
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__)s\x86b.",
        b"\x80\x02ccollections\nOrderedDict\nN}X\x05\x00\x00\x00clearNs\x86b.",
        # a tensor larger than its storage, by size and by stride
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x04tQK\x00(K\x64t(K\x01tI00\nNtR.",
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ\xff\xff\xff\x7ftQ.",
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x09\x00\x00\x00../../etcX\x03\x00\x00\x00cpuK\x04tQ.",
        b"\x80\x02(X\x06\x00\x00\x00modulecos\nsystem\nNNtQ.",
        b"\x80\x02cos\nsystem\n.",
        b"not a pickle",
        b"",
    ],
)
def test_programs_by_hand(program: bytes, tmp_path: Path) -> None:
    """Each ends as inert objects or as one sentence; the builders stay as they were."""
    from collections import OrderedDict

    path = zipped_program(program, tmp_path / "c.pt")
    try:
        found = read_checkpoint(path)
        assert isinstance(found, Inert) or (isinstance(found, type) and issubclass(found, Inert))
    except UserError as error:
        assert "truncated, damaged, or no checkpoint" in str(error) and "\n" not in str(error)
    assert callable(OrderedDict().clear)
    good = save({"t": torch.ones(3), "n": argparse.Namespace()}, tmp_path / "good.pt", True)
    assert read_checkpoint(good)["t"].tolist() == [1, 1, 1]


def test_a_mapping_keeps_its_methods(tmp_path: Path) -> None:
    """A file may set attributes on what it builds: here ``items`` of an OrderedDict."""
    program = b"\x80\x02ccollections\nOrderedDict\n)RX\x01\x00\x00\x00aK\x01s}X\x05\x00\x00\x00itemscos\nsystem\nsb."
    assert list(read_checkpoint(zipped_program(program, tmp_path / "c.pt")).items()) == [("a", 1)]
    weights = torch.nn.Linear(2, 2).state_dict()  # an OrderedDict with _metadata
    found = read_checkpoint(save({"w": weights, "n": argparse.Namespace()}, tmp_path / "d.pt", True))["w"]
    assert list(found) == ["weight", "bias"] and torch.equal(found["bias"], weights["bias"])


@FORMATS
def test_truncated_at_any_place(zipped: bool, tmp_path: Path) -> None:
    path = save({"n": argparse.Namespace(a=1), "t": torch.randn(50, 50)}, tmp_path / "c.pt", zipped)
    raw = path.read_bytes()
    for share in (0.01, 0.1, 0.3, 0.6, 0.9, 0.999):
        path.write_bytes(raw[: int(share * len(raw))])
        with pytest.raises(UserError, match=r"c\.pt: truncated, damaged, or no checkpoint of weights") as said:
            read_checkpoint(path)
        assert "\n" not in str(said.value)


def test_torchscript_is_not_run(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "s.pt")
    try:
        found = read_checkpoint(tmp_path / "s.pt")
    except UserError:
        return
    assert isinstance(found, Inert)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    for name, raw in {"p": pickle.dumps({"a": 1}), "t": b"some text\n", "e": b""}.items():
        (tmp_path / name).write_bytes(raw)
        assert not is_checkpoint(tmp_path / name)
