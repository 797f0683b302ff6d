from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.shar import SharWriter

from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, UnitsField
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError

Corpus = Callable[..., Path]


@pytest.fixture
def with_units(corpus: Corpus, tmp_path: Path) -> Path:
    cuts = open_cuts(corpus([0.5, 0.7, 0.6, 0.4, 0.9]))
    with UnitWriter(tmp_path / "units.jsonl.gz", Fraction(1, 50), [9], "fp") as writer:
        for i, cut in enumerate(cuts):
            writer.write(cut, np.random.default_rng(i).integers(0, 9, round(cut.duration * 50)))
    return tmp_path / "units.jsonl.gz"


def export(manifest: Path, folder: Path, shard_size: int = 2) -> Path:
    folder.mkdir()
    with SharWriter(str(folder), {"recording": "wav", "units": "numpy"}, shard_size=shard_size) as writer:
        for cut in open_cuts(manifest):
            writer.write(cut)
    write_meta(folder, read_meta(manifest))
    return folder


def test_any_cut_of_a_shar_folder(with_units: Path, tmp_path: Path):
    """Three shards, read out of order, give what lhotse gives in order and what the files gave."""
    folder = export(with_units, tmp_path / "shar")
    (tmp_path / "audio").rename(tmp_path / "gone")
    theirs = list(CutSet.from_shar(in_dir=str(folder)))
    shar = open_cuts(folder)
    assert shar.ids == tuple(c.id for c in theirs)
    units = UnitsField().bind(shar)
    for row in (4, 0, 3, 2, 1):
        np.testing.assert_array_equal(shar[row].load_audio(), theirs[row].load_audio())
        assert torch.equal(AudioField().load(shar[row]), torch.from_numpy(theirs[row].load_audio()[0]))
        np.testing.assert_array_equal(units.load(shar[row]), theirs[row].load_units())
    assert (
        next(iter(CutSet.from_shar(in_dir=str(folder)))).id == "a0"
    )  # our index has left nothing that lhotse trips over


def test_mistakes(with_units: Path, tmp_path: Path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"nothing has no cuts"):
        open_cuts(tmp_path / "nothing")
    folder = export(with_units, tmp_path / "shar")
    (folder / "units.000001.tar").rename(tmp_path / "lost.tar")
    with pytest.raises(UserError, match=r"3 shards of cuts but 2 of units"):
        open_cuts(folder)
    (folder / "units.000000.tar").rename(folder / "units.000001.tar")
    (tmp_path / "lost.tar").rename(folder / "units.000000.tar")
    with pytest.raises(UserError, match=r"expected units of the cut a0 but found that of a2"):
        open_cuts(folder)
