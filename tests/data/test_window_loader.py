from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from speechunits.data.batch_dataset import BatchDataset
from speechunits.data.batch_plan import BatchPlan
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields import AudioField
from speechunits.data.transforms import Crop
from speechunits.data.window_loader import Position, WindowLoader

Corpus = Callable[..., Path]
Seen = list[tuple[list[list[str]], float]]


@pytest.fixture
def dataset(corpus: Corpus) -> BatchDataset:
    return BatchDataset(open_cuts(corpus([0.1 + 0.02 * i for i in range(30)])), {"audio": AudioField()}, [Crop(0.4)])


def loader(
    dataset: BatchDataset, position: Position, num_workers: int = 0, ranks: int = 1, rank: int = 0
) -> WindowLoader:
    plan = BatchPlan(Crop(0.4).seconds(dataset.cuts.seconds), 1.2, "k", ranks=ranks, accumulate=2)
    return WindowLoader(dataset, plan, position, rank, num_workers, 0)


def seen(windows: WindowLoader, count: int | None = None) -> Seen:
    """ids of each window, and the sum of its samples."""
    out = []
    for window in windows:
        out.append(([b["ids"] for b in window], sum(float(b["audio"].data.sum()) for b in window)))
        if len(out) == count:
            break
    return out


def test_epochs_follow_each_other_and_differ(dataset: BatchDataset):
    windows = loader(dataset, position := Position())
    first, second = seen(windows), seen(windows)
    assert position == Position(2, 0) and len(first) == len(second) == len(windows)
    for epoch in (first, second):
        assert {i for ids, _ in epoch for batch in ids for i in batch} == set(dataset.cuts.ids)
        assert all(len(ids) == 2 for ids, _ in epoch)
    assert first != second


def test_workers_change_nothing(dataset: BatchDataset):
    here, there = (loader(dataset, Position(), n) for n in (0, 2))
    for _ in range(2):
        assert seen(here) == seen(there)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_going_on_from_a_saved_position(dataset: BatchDataset, num_workers: int):
    whole = loader(dataset, Position())
    everything = seen(whole) + seen(whole)
    stopped = loader(dataset, position := Position(), num_workers)
    done = seen(stopped, 2)
    assert position == Position(0, 1)  # handed out, not yet trained
    stopped.advance()
    stopped.advance()  # twice is once
    assert position == Position(0, 2)  # whatever the workers have loaded ahead
    resumed = loader(dataset, Position(position.epoch, position.window), num_workers)
    assert done + seen(resumed) + seen(resumed) == everything
    assert len(resumed) == len(whole)


def test_breaking_off_and_iterating_again_goes_on_with_the_same_workers(dataset: BatchDataset):
    whole = seen(loader(dataset, Position()))
    windows = loader(dataset, Position(), 2)
    done = seen(windows, 3)
    windows.advance()
    assert done + seen(windows) == whole


def test_ranks_share_the_windows_of_one_rank(dataset: BatchDataset):
    two = [seen(loader(dataset, Position(), ranks=2, rank=r)) for r in range(2)]
    plan = BatchPlan(Crop(0.4).seconds(dataset.cuts.seconds), 1.2, "k", accumulate=4)
    one = seen(WindowLoader(dataset, plan, Position(), max_bad=0))
    assert len(two[0]) == len(two[1]) == len(one)
    for (a, x), (b, y), (both, z) in zip(*two, one, strict=True):
        assert sorted(map(tuple, a + b)) == sorted(map(tuple, both))
        assert x + y == pytest.approx(z, abs=1e-3)


def test_a_rank_loads_only_its_own_cuts(dataset: BatchDataset, monkeypatch: pytest.MonkeyPatch):
    """Counted where cuts are read: 4 ranks together read each cut once, and none reads what another does."""
    read: list[list[int]] = []
    real = Cuts.__getitem__
    monkeypatch.setattr(Cuts, "__getitem__", lambda cuts, row: read[-1].append(row) or real(cuts, row))
    planned = []
    for rank in range(4):
        read.append([])
        windows = loader(dataset, Position(0, 1), ranks=4, rank=rank)
        seen(windows)
        epoch = windows.plan.epoch(0)
        planned.append([i for w in range(1, len(epoch)) for m in range(2) for i in epoch.batch(w, m, rank).tolist()])
    assert read == planned and all(read)
    assert len({i for rows in read for i in rows}) == sum(map(len, read))
