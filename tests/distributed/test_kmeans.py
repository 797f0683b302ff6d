"""KMeansFitter on two processes gives the centroids of one, bit for bit."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import Seq, pad

FITS: dict[str, dict[str, Any]] = {
    "plain": {"size": 12, "reservoir": 1200, "iterations": 6},
    "every stage": {"size": 12, "reservoir": 700, "n_init": 2, "extra_passes": 2, "save_every": 2, "share": 0.8},
    "many empty": {"size": 40, "reservoir": 1200, "iterations": 3},
    "one batch": {"size": 5, "extra_passes": 1},
    "continued": {"size": 12, "reservoir": 700, "extra_passes": 1, "save_every": 2},
}
HANDED_OVER = {"size": 12, "reservoir": 700, "extra_passes": 2, "save_every": 2}


def corpus(batches: int) -> list[tuple[int, list[str], Seq]]:
    draws = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(15, 7, generator=draws)
    out = []
    for index in range(batches):
        items = []
        for _ in range(3):
            label = torch.randint(15, (int(torch.randint(20, 90, (1,), generator=draws)),), generator=draws)
            items.append(centres[label] + torch.randn(len(label), 7, generator=draws))
        out.append((index, [f"{index}-{i}" for i in range(3)], pad(items, None)))
    return out


def repeated(batches: int) -> list[tuple[int, list[str], Seq]]:
    """Frames from eight values, most of them rare: seeds fall on equal frames, so clusters run empty."""
    out = []
    for index, ids, x in corpus(batches):
        coarse = (x.data.sum(2, keepdim=True) > 20).float() + (x.data[..., :1] > 5).float() * 3
        out.append((index, ids, x.with_data((coarse * torch.arange(1, 8)) * x.valid[..., None])))
    return out


class Stopped(Exception):
    pass


def stop() -> None:
    """A killed process where there are others, an exception where it is the test's own."""
    if dist.is_initialized():
        os.kill(os.getpid(), signal.SIGKILL)
    raise Stopped


def fit(name: str, folder: Path, stop_at: tuple[int, int] | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
    """stop_at: the pass, as this process counts them, and the batch."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    make = repeated if name == "many empty" else corpus
    batches = make(1 if name == "one batch" else 15)

    passes = itertools.count(1)

    def stream(start: int) -> Iterator[tuple[int, list[str], Seq]]:
        this = next(passes)
        for batch in batches[start:]:
            if (this, batch[0]) == stop_at:
                stop()
            if batch[0] % world == rank:
                yield batch

    settings: dict[str, Any] = dict(FITS.get(name, HANDED_OVER))
    at = folder / name if name in ("every stage", "continued", "handed over") else None
    kmeans, figures = KMeansFitter(settings.pop("size"), **settings).fit(stream, folder=at, report=lambda _: None)
    return kmeans.centroids, figures


def work(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    results = {name: fit(name, folder) for name in FITS}
    save_file({name: centroids for name, (centroids, _) in results.items()}, folder / f"{rank}.safetensors")
    figures = {name: torch.tensor([float(x or 0) for x in f.values()]).double() for name, (_, f) in results.items()}
    save_file(figures, folder / f"figures-{rank}.safetensors")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = {name: fit(name, tmp_path / "one") for name in FITS}
        # one process begins, two continue from its sample
        with pytest.raises(Stopped):
            fit("continued", tmp_path, stop_at=(1, 9))
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "continued" / "state.json").exists()
    mp.spawn(work, args=(2, tmp_path), nprocs=2)
    for rank in range(2):
        centroids = load_file(tmp_path / f"{rank}.safetensors")
        figures = load_file(tmp_path / f"figures-{rank}.safetensors")
        for name, (one, said) in expected.items():
            assert torch.equal(centroids[name], one), (name, rank)
            assert figures[name].tolist() == torch.tensor([float(x or 0) for x in said.values()]).tolist(), (name, rank)
    assert expected["many empty"][1]["empty"] > 0
    assert expected["every stage"][1]["passes"] == 3


def take_part(rank: int, world: int, folder: Path, stop_at: tuple[int, int] | None) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{world}", rank=rank, world_size=world)
    centroids, figures = fit("handed over", folder, stop_at)
    if rank == 0:
        save_file({"centroids": centroids}, folder / "handed over.safetensors", {"figures": json.dumps(figures)})
    dist.destroy_process_group()


def test_a_fit_that_changes_hands_is_uninterrupted(tmp_path: Path) -> None:
    """Two processes are killed while they sample, one goes on and stops while it refines, three end it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state = tmp_path / "handed over" / "state.json"
    try:
        expected, said = fit("handed over", tmp_path / "one")
        with pytest.raises((ProcessExitedException, ProcessRaisedException)):
            mp.spawn(take_part, args=(2, tmp_path, (1, 9)), nprocs=2)
        assert (
            json.loads(state.read_text())["stage"] == "collect" and 0 < json.loads(state.read_text())["position"] < 10
        )
        with pytest.raises(Stopped):
            fit("handed over", tmp_path, (2, 5))
        assert json.loads(state.read_text())["stage"] == "refine" and json.loads(state.read_text())["position"] == 4
    finally:
        torch.set_num_threads(threads)
    mp.spawn(take_part, args=(3, tmp_path, None), nprocs=3)
    with safe_open(tmp_path / "handed over.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("centroids"), expected)
        assert json.loads(file.metadata()["figures"]) == json.loads(json.dumps(said))
