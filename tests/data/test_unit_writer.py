from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from speechunits.data.cuts import open_cuts
from speechunits.data.fields import UnitsField
from speechunits.data.unit_meta import read_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError

Corpus = Callable[..., Path]
HOP = Fraction(1, 50)


def files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def write(manifest: Path, out: Path, field: str = "units", codes: int | None = None) -> None:
    parent = open_cuts(manifest)
    with UnitWriter(out, HOP, [9], "fp", field, ["km"], read_meta(manifest)) as writer:
        for i, cut in enumerate(parent):
            random = np.random.default_rng(i)
            labels = random.integers(0, 9, 50) if codes is None else np.full(50, codes)
            writer.write(cut, torch.from_numpy(labels)[: round(cut.duration * 50)])


def test_three_files_that_are_the_same_each_time(corpus: Corpus, tmp_path: Path):
    manifest = corpus([1.0, 0.5])
    write(manifest, tmp_path / "out" / "train.jsonl.gz")
    first = files(tmp_path / "out")
    assert [name.split(".")[-1] for name in first] == ["gz", "json", "bin"]
    write(manifest, tmp_path / "out" / "train.jsonl.gz")
    assert files(tmp_path / "out") == first
    assert read_meta(tmp_path / "out" / "train.jsonl.gz") == {
        "units": {"hop": "1/50", "vocab": [9], "fingerprint": "fp", "derived_from": ["km"]}
    }


def test_a_second_field_keeps_the_first(corpus: Corpus, tmp_path: Path):
    write(corpus([1.0, 0.5]), tmp_path / "one.jsonl.gz")
    write(tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz", "km9")
    cuts = open_cuts(tmp_path / "two.jsonl.gz")
    assert set(cuts.streams) == {"units", "km9"}
    assert torch.equal(UnitsField("units").bind(cuts).load(cuts[0]), UnitsField("km9").bind(cuts).load(cuts[0]))


def test_folder_can_be_moved_and_manifest_copied(corpus: Corpus, tmp_path: Path):
    write(corpus([1.0, 0.5]), tmp_path / "old" / "u.jsonl.gz")
    before = UnitsField().bind(open_cuts(tmp_path / "old" / "u.jsonl.gz"))
    expected = before.load(open_cuts(tmp_path / "old" / "u.jsonl.gz")[0])
    (tmp_path / "copy").mkdir()
    for name in ("u.jsonl.gz", "u.jsonl.gz.meta.json"):
        shutil.copy(tmp_path / "old" / name, tmp_path / "copy" / name)
    assert torch.equal(before.load(open_cuts(tmp_path / "copy" / "u.jsonl.gz")[0]), expected)
    (tmp_path / "old").rename(tmp_path / "new")
    assert torch.equal(before.load(open_cuts(tmp_path / "new" / "u.jsonl.gz")[0]), expected)


def test_interruption_leaves_what_was_there(corpus: Corpus, tmp_path: Path):
    manifest, out = corpus([1.0, 0.5]), tmp_path / "out" / "u.jsonl.gz"
    for there in (False, True):
        before = files(out.parent) if there else {}
        with pytest.raises(KeyboardInterrupt), UnitWriter(out, HOP, [9], "other") as writer:
            writer.write(open_cuts(manifest)[0], np.zeros(50, int))
            raise KeyboardInterrupt
        assert files(out.parent) == before
        write(manifest, out)


def test_mistakes(corpus: Corpus, tmp_path: Path):
    manifest, out = corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz"
    with pytest.raises(UserError, match=r"all labels for .*u.jsonl.gz are one and the same code"):
        write(manifest, out, codes=3)
    with pytest.raises(UserError, match=r"no codes were written for .*u.jsonl.gz"), UnitWriter(out, HOP, [9], "fp"):
        pass
    with pytest.raises(UserError, match=r"must end in .jsonl.gz"):
        UnitWriter(tmp_path / "u.json", HOP, [9], "fp")
    cut = open_cuts(manifest)[0]
    for codes, message in [
        (np.zeros(52, int), "a0 has 50 frames of 1/50 s, but 52 codes came"),
        (np.zeros(47, int), "a0 has 50 frames of 1/50 s, but 47 codes came"),
        (np.full(50, 9), "a0 run from 9 to 9"),
        (np.full(50, -1), "a0 run from -1 to -1"),
        (np.zeros((50, 2), int), r"a0 have shape \(50, 2\)"),
    ]:
        with pytest.raises(UserError, match=message), UnitWriter(out, HOP, [9], "fp") as writer:
            writer.write(cut, codes)
    with pytest.raises(UserError, match="a0 came twice"), UnitWriter(out, HOP, [9], "fp") as writer:
        writer.write(cut, np.zeros(50, int))
        writer.write(cut, np.zeros(50, int))
    assert not out.exists() and not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.bin"))
