"""Checkpoints that want memory which their files do not have, or a tensor that reaches outside of its storage."""

from __future__ import annotations

import argparse
import resource
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.exchange.inert_pickle import read_checkpoint
from speechunits.exchange.source import read

ROOM = 2 << 30  # bytes of address space that each of these may take beside what is mapped already
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"  # 4 numbers


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def zipped(program: bytes, path: Path, kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/data/0", bytes(16))
    return path


def refused(path: Path, says: str) -> None:
    with pytest.raises(UserError, match=says) as said:
        read_checkpoint(path)
    assert "\n" not in str(said.value)


def test_a_tensor_without_strides_is_no_larger_than_its_storage(tmp_path: Path) -> None:
    big = b"J\xff\xff\xff\x7f"  # 2**31 - 1
    program = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\x00" + big + big + b"\x86K\x00K\x00\x86tR."
    )
    refused(zipped(program, tmp_path / "c.pt"), "larger than its storage")


def test_a_state_does_not_change_a_tensor(tmp_path: Path) -> None:
    """``Tensor.__setstate__`` of four values sets storage and size, which would grow the storage."""
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\x00K\x04\x85K\x01\x85tR"
    program = b"\x80\x02" + tensor + b"(" + STORAGE + b"K\x00J\xff\xff\xff\x7f\x85K\x01\x85tb."
    assert read_checkpoint(zipped(program, tmp_path / "c.pt")).shape == (4,)


def test_a_place_in_the_memo_takes_no_memory(tmp_path: Path) -> None:
    """LONG_BINPUT 2**31 - 1: the unpickler in C makes room for as many."""
    assert read_checkpoint(zipped(b"\x80\x02}r\xff\xff\xff\x7f.", tmp_path / "c.pt")) == {}


def test_nothing_is_unpacked(tmp_path: Path) -> None:
    bomb = zipped(b"\x80\x02}." + bytes(100 << 20), tmp_path / "c.pt", zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 20
    refused(bomb, "not whole")
    small = zipped(b"\x80\x02}.", tmp_path / "d.pt", zipfile.ZIP_DEFLATED)
    refused(small, "is compressed")


def test_many_storages_of_one_file(tmp_path: Path) -> None:
    """The format before zip says how long each storage is before any of them comes."""
    path = tmp_path / "c.pt"
    value = {"n": argparse.Namespace(), **{str(i): torch.zeros(1000) for i in range(5)}}
    torch.save(value, path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    numel = b"M\xe8\x03"  # BININT2 1000
    assert raw.count(numel) >= 5
    path.write_bytes(raw.replace(numel, b"M\xa0\x0f"))  # 4000: each alone would fit into the file
    refused(path, "not whole")


def test_nested_containers_are_not_written_out(tmp_path: Path) -> None:
    """Sixty lists, each twice in the next: 2**60 items for whoever prints them. As a name, a number and a storage."""
    nest = b"]"
    for i in range(60):
        nest += b"q%c0]h%cah%ca" % (i, i, i)
    refused(zipped(b"\x80\x02" + nest + b"Q.", tmp_path / "a.pt"), "truncated, damaged, or no checkpoint")


def test_an_array_that_says_it_is_larger(tmp_path: Path) -> None:
    path = tmp_path / "km.npy"
    np.save(path, np.zeros((10, 39), np.float32))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"(10, 39), }        ", b"(1000000000, 39), }"))
    assert path.read_bytes() != raw
    with pytest.raises(UserError, match=r"km\.npy: damaged, or no plain array of numbers"):
        read(path)


@pytest.mark.parametrize("value", [1e300, float("nan")])
def test_centroids_that_float32_does_not_hold(value: float, tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", np.full((2, 3), value))
    with pytest.raises(UserError, match="a centroid is NaN or infinite"):
        read(tmp_path / "km.npy")
