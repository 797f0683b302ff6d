"""ArrayParts: the same bytes from any number of processes and after any interruption; every cut once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.seq import Seq
from speechunits.units.array_parts import ArrayParts
from speechunits.units.feature_pass import FeaturePass
from tests.data.conftest import corpus  # noqa: F401 (a fixture)

Noise = Callable[..., Path]
HOP = Fraction(1, 50)


def encode(audio: Seq) -> Seq:
    """The sign pattern of each 20 ms, 0..3: (B, S) -> (B, T, 1)."""
    frames = audio.data.unflatten(1, (-1, 320)) if audio.data.size(1) % 320 == 0 else None
    assert frames is not None
    codes = (frames[..., :2] > 0).long() @ torch.tensor([2, 1])
    return Seq(codes[..., None], audio.lengths // 320, HOP)


def parts(manifest: Path, out: Path, rank: int = 0, ranks: int = 1, fingerprint: str = "fp") -> ArrayParts:
    fields = {"audio": AudioField(), "cut": CutField()}
    batches = FeaturePass(open_cuts(manifest), fields, 0.9, rank=rank, ranks=ranks)
    return ArrayParts(out / "parts", batches, UnitWriter(out / "u.jsonl.gz", HOP, [4], fingerprint))


def files(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.iterdir() if p.is_file() and p.suffix != ".safetensors"}


@pytest.fixture
def manifest(corpus: Noise) -> Path:  # noqa: F811
    return corpus([0.2 + 0.02 * (i % 9) for i in range(24)])


def test_parts_of_several_processes_join_to_what_one_writes(manifest: Path, tmp_path: Path):
    out = tmp_path / "out"
    alone = parts(manifest, out)
    assert alone.write(encode) == pytest.approx(open_cuts(manifest).seconds.sum())
    assert alone.join(out / "bad.json") == (24, {}) and not (out / "bad.json").exists()
    alone.clear()
    expected = files(out)
    assert len(expected) == 3 and not (out / "parts").exists()
    # without parts: the writer fed directly, as for any corpus that one process writes in one go
    batches = alone.batches
    with UnitWriter(out / "u.jsonl.gz", HOP, [4], "fp") as writer:
        for _, batch in batches():
            for cut, row, n in zip(batch["cut"], encode(batch["audio"]).data, batch["audio"].lengths, strict=True):
                writer.write(cut, row[: int(n) // 320])
    assert files(out) == expected
    shutil.rmtree(out)
    # two of three processes, then two processes take over what the third one left
    for rank in (2, 0):
        parts(manifest, out, rank, 3).write(encode)
    left = [len(parts(manifest, out, rank, 2).mine()) for rank in (0, 1)]
    assert 0 < sum(left) < len(alone) / 2
    assert parts(manifest, out, 98, 99).write(encode) == 0, "a process without work does not fail"
    for rank in (0, 1):
        assert parts(manifest, out, rank, 2).write(encode) < 0.5 * batches.seconds
    parts(manifest, out).join(out / "bad.json")
    shutil.rmtree(out / "parts")
    assert files(out) == expected


def test_a_part_that_is_missing_damaged_or_of_others_is_made_anew(manifest: Path, tmp_path: Path):
    out = tmp_path / "out"
    whole = parts(manifest, out)
    whole.write(encode)
    first, second = sorted((out / "parts").iterdir())[:2]
    first.write_bytes(first.read_bytes()[:-3])
    second.unlink()
    assert whole.mine() == [0, 1]
    with pytest.raises(UserError, match=r"0000.safetensors: missing or damaged; run the extraction again"):
        whole.join(out / "bad.json")
    assert not files(out)
    assert len(parts(manifest, out, fingerprint="other").mine()) == len(whole)


@pytest.mark.parametrize(("how", "says"), [("missing", "lacks a"), ("doubled", "has twice a"), ("swapped", "lacks a")])
def test_coverage_is_verified_by_id(manifest: Path, tmp_path: Path, how: str, says: str):
    out = tmp_path / "out"
    whole = parts(manifest, out)
    whole.write(encode)
    names = sorted((out / "parts").iterdir())
    if how == "swapped":
        shutil.copy(names[1], names[2])
    else:
        rows, codes, _ = whole._read(1)
        ends = np.cumsum([0, *map(whole.writer.size, rows)])
        packed = [(row, codes[a:b]) for row, (a, b) in zip(rows, pairwise(ends), strict=True)]
        whole._save(1, packed[1:] if how == "missing" else [*packed, packed[0]])
    with pytest.raises(UserError, match=rf"000[12].safetensors {says}\d+.*; delete it and run again"):
        whole.join(out / "bad.json")
    assert not files(out), "nothing is published"


def test_a_process_loads_only_its_own_cuts(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Counted where cuts are read: together the processes read each cut once."""
    read: list[list[int]] = []
    real = Cuts.__getitem__
    monkeypatch.setattr(Cuts, "__getitem__", lambda cuts, row: read[-1].append(row) or real(cuts, row))
    for rank in range(3):
        read.append([])
        parts(manifest, tmp_path / "out", rank, 3).write(encode)
    assert all(read) and sorted(row for rows in read for row in rows) == list(range(24))


def test_a_part_keeps_what_could_not_be_read(manifest: Path, tmp_path: Path):
    cut = open_cuts(manifest)[7]
    Path(cut.recording.sources[0].source).write_bytes(b"no audio")
    out = tmp_path / "out"
    for rank in (0, 1):
        parts(manifest, out, rank, 2).write(encode)
    count, bad = parts(manifest, out).join(out / "bad.json")
    assert count == 23 and list(bad) == ["a7"] and "a7" in (out / "bad.json").read_text()
    assert "a7" not in open_cuts(out / "u.jsonl.gz").ids
    assert load_file(out / "parts" / "0000.safetensors")["arrays"].dtype == torch.uint8
