from __future__ import annotations

import os
import resource
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from socket import gethostname

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.shar import SharWriter

from speechunits.data.batch_dataset import BatchDataset
from speechunits.data.batch_plan import BatchPlan
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, UnitsField
from speechunits.data.shar import scan_shar
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.data.window_loader import Position, WindowLoader
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
    with pytest.raises(UserError, match=r"shard 000001 of units is missing, that of cuts is there; export it again"):
        open_cuts(folder)
    (folder / "units.000000.tar").rename(folder / "units.000001.tar")
    (tmp_path / "lost.tar").rename(folder / "units.000000.tar")
    with pytest.raises(UserError, match=r"expected units of the cut a0 but found that of a2"):
        open_cuts(folder)


def test_units_of_a_shar_folder_point_back_to_it(with_units: Path, tmp_path: Path):
    """No audio in the manifest: where its bytes lie is said again, so that it is trained on like any other."""
    folder = export(with_units, tmp_path / "shar")
    (tmp_path / "audio").rename(tmp_path / "gone")
    shar = open_cuts(folder)
    with UnitWriter(
        tmp_path / "out" / "new.jsonl.gz", Fraction(1, 50), [9], "new", "km", others=read_meta(folder)
    ) as w:
        for cut in shar:
            w.write(cut, UnitsField().bind(shar).load(cut).flip(0))
    assert (tmp_path / "out" / "new.jsonl.gz").stat().st_size < 3000
    again = open_cuts(tmp_path / "out" / "new.jsonl.gz")
    old, new = UnitsField().bind(again), UnitsField("km").bind(again)
    for there, here in zip(shar, again, strict=True):
        assert torch.equal(AudioField().load(here), AudioField().load(there))
        assert torch.equal(new.load(here).flip(0), old.load(here)) and here.supervisions == there.supervisions
    assert again.rates.tolist() == [16000] * 5


def shards(corpus: Corpus, folder: Path, count: int = 200) -> Path:
    """One cut per shard."""
    folder.mkdir()
    with SharWriter(str(folder), {"recording": "wav"}, shard_size=1) as writer:
        for cut in open_cuts(corpus([0.1 + 0.001 * (i % 50) for i in range(count)])):
            writer.write(cut)
    return folder


def test_two_hundred_shards_are_read_through_few_files(corpus: Corpus, tmp_path: Path):
    """In any order, with 40 files allowed at once: a rank of a large run meets thousands of shards."""
    folder = shards(corpus, tmp_path / "shar")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
    try:
        cuts, field = open_cuts(folder), AudioField()
        order = np.random.default_rng(0).permutation(200).tolist()
        lengths = {row: len(field.load(cuts[row])) for row in order}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [lengths[row] for row in range(200)] == [round((0.1 + 0.001 * (i % 50)) * 16000) for i in range(200)]


def test_several_processes_scan_what_one_scans(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = shards(corpus, tmp_path / "shar", 12)
    alone = list(scan_shar(folder))
    monkeypatch.setattr("speechunits.data.shar.PARALLEL", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert list(scan_shar(folder)) == alone and len(alone) == 12
    (folder / "recording.000011.tar").write_bytes(b"no tar")
    with pytest.raises(UserError, match=r"recording.000011.tar is cut off or damaged"):
        list(scan_shar(folder))


def test_a_missing_or_truncated_shard_is_named_before_training(
    corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = shards(corpus, tmp_path / "shar", 12)
    open_cuts(folder)
    tar, cuts = folder / "recording.000007.tar", folder / "cuts.000007.jsonl.gz"
    whole = tar.read_bytes()
    for size in (len(whole) // 3, 700, 0):
        tar.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"recording.000007.tar"):
            open_cuts(folder)
    tar.unlink()
    with pytest.raises(UserError, match=r"shar: shard 000007 of recording is missing, that of cuts is there"):
        open_cuts(folder)
    tar.write_bytes(whole)
    packed = cuts.read_bytes()
    cuts.write_bytes(packed[:-9])
    with pytest.raises(UserError, match=r"the shard .*cuts.000007.jsonl.gz is cut off or damaged"):
        open_cuts(folder)
    cuts.unlink()
    with pytest.raises(UserError, match=r"shar: shard 000007 of cuts is missing, that of recording is there"):
        open_cuts(folder)
    tar.unlink()
    assert len(open_cuts(folder)) == 11
    assert "shard 000007 and 0 more are missing of all fields" in caplog.text


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("how", ["gone", "cut off"])
def test_a_shard_that_vanishes_while_training_is_named_with_rank_host_and_batch(
    corpus: Corpus, tmp_path: Path, num_workers: int, how: str
):
    folder = shards(corpus, tmp_path / "shar", 12)
    data = BatchDataset(open_cuts(folder), {"audio": AudioField()})
    plan = BatchPlan(data.cuts.seconds, 0.25, ranks=2)
    windows = WindowLoader(data, plan, Position(), 1, num_workers, max_bad=100)
    (row, *_), where = (
        plan.epoch(0).batch(2, 0, 1).tolist(),
        f"rank 1 on {gethostname()}, epoch 0, window 2, batch 0 of it",
    )
    tar = folder / f"recording.{row:06d}.tar"
    tar.unlink() if how == "gone" else tar.write_bytes(tar.read_bytes()[:900])
    says = "cannot be read any more (No such file" if how == "gone" else "was cut off since it was indexed"
    with pytest.raises(UserError) as stopped:
        list(windows)
    said = str(stopped.value)
    assert said.startswith(f"the shard {tar} {says}") and said.endswith(f"({where})") and "\n" not in said
