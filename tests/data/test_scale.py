"""A manifest of a million cuts: the same batches wherever a training begins, and arrays that stay small."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField
from speechunits.train.datamodule import SpeechDataModule
from tools.bench.data import write_manifest

pytestmark = pytest.mark.slow
CUTS = 1_000_000


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("million")
    write_manifest(folder, CUTS)
    open_cuts(folder / "cuts.jsonl")
    return folder / "cuts.jsonl"


def module(manifest: Path, num_workers: int) -> SpeechDataModule:
    return SpeechDataModule(str(manifest), {"audio": AudioField()}, 87.5, num_workers=num_workers)


def test_batch_100_000_is_the_same_with_any_number_of_workers(manifest: Path):
    """tools/bench/data.py times it; here it is only compared with what the plan says."""
    first = module(manifest, 0)
    plan = first.train_dataloader().plan
    first.position.window = 100_000
    state = json.loads(json.dumps(first.state_dict()))
    expected = [[first.train_set.cuts.id(row) for row in plan.epoch(0).batch(100_000 + i, 0, 0)] for i in range(3)]
    for workers in (0, 1, 3):
        data = module(manifest, workers)
        data.load_state_dict(state)
        windows = iter(data.train_dataloader())
        assert [next(windows)[0]["ids"] for _ in range(3)] == expected


def test_memory_of_a_plan_is_some_dozen_bytes_a_cut(manifest: Path):
    tracemalloc.start()
    try:
        data = module(manifest, 0)
        loader = data.train_dataloader()
        kept = tracemalloc.get_traced_memory()[0]
        next(iter(loader))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept < 16 * CUTS and peak < 64 * CUTS
