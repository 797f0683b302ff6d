"""One process = accumulation = DDP = FSDP2, exactly, for HuBERT, DinoSR, CTC and a Conformer in chunks; nothing that ranks
differ in hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.train.checkpoint import FolderCheckpointIO
from tests.distributed import parallel_ranks
from tests.distributed.systems import ACCUMULATED, SYSTEMS, WHOLE, batches, outcome, train

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 900  # seconds for all runs of two processes

pytestmark = pytest.mark.slow


def together(folder: Path, *names: str, **environment: str) -> Path:
    """Let two processes make these runs; the limit turns a hang into a failure."""
    clean = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK")}
    done = subprocess.run(
        [sys.executable, parallel_ranks.__file__, str(folder), *names],
        env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the runs, and what both ranks ended with."""
    return together(tmp_path_factory.mktemp("parallel_ranks"), *parallel_ranks.RUNS)


def ended(place: Path, name: str, strategy: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both ranks ended with; the weights are those of rank 0."""
    first, second = (json.loads((place / f"{name}-{strategy}-{rank}.json").read_text()) for rank in (0, 1))
    return first, second


def close(a: dict[str, Any], b: dict[str, Any], tolerance: float = 1e-10) -> None:
    assert (a["step"], a["rejected"]) == (b["step"], b["rejected"])
    assert a["weights"].keys() == b["weights"].keys() and a["weights"]
    for name, values in a["weights"].items():
        assert b["weights"][name] == pytest.approx(values, rel=0, abs=tolerance), name
    assert b["figures"] == pytest.approx(a["figures"], rel=tolerance, abs=tolerance)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What one process ends with that hears each update's speech in one batch."""
    known: dict[str, dict[str, Any]] = {}

    def run(system: str) -> dict[str, Any]:
        if system not in known:
            folder = tmp_path_factory.mktemp(system)
            known[system] = outcome(train(folder, SYSTEMS[system], batches(WHOLE, 5), 5))
        return known[system]

    return run


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_accumulation_takes_the_steps_of_one_batch(system: str, one: Any, tmp_path: Path) -> None:
    close(one(system), outcome(train(tmp_path, SYSTEMS[system], batches(ACCUMULATED, 5), 5)))


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
@pytest.mark.parametrize("system", list(SYSTEMS))
def test_two_ranks_take_the_steps_of_one(system: str, strategy: str, one: Any, place: Path) -> None:
    first, second = ended(place, system, strategy)
    close(one(system), first)
    assert first["figures"] == second["figures"]
    moved = {name for name in first["weights"] if "teacher" in name or "quantizer" in name}
    assert bool(moved) is (system == "dinosr")


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_each_rank_keeps_its_share_of_the_blocks_alone(system: str, place: Path) -> None:
    everything = ended(place, system, "ddp")[0]["held"]
    first, second = (rank["held"] for rank in ended(place, system, "fsdp"))
    for name, size in everything.items():
        if ".layers." in name:
            assert first[name] + second[name] == size and first[name] <= max(size * 0.51, 64), name
        else:
            assert first[name] == second[name] == size, name
    assert any(".layers." in name for name in everything)
    assert any("teacher.encoder.layers." in name for name in everything) is (system == "dinosr")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two ranks on GPUs need two of them, and they are not here")
def test_two_gpus_take_the_steps_of_one_process(one: Any, tmp_path: Path) -> None:
    names = [*SYSTEMS, "bf16-mixed", "16-mixed"]
    together(tmp_path, *names, SPEECHUNITS_TEST_ACCELERATOR="gpu")
    for system in SYSTEMS:
        for strategy in parallel_ranks.STRATEGIES:
            close(one(system), ended(tmp_path, system, strategy)[0], tolerance=1e-8)
    for precision in names[len(SYSTEMS) :]:
        ddp, fsdp = (ended(tmp_path, precision, strategy)[0] for strategy in parallel_ranks.STRATEGIES)
        close(ddp, fsdp, tolerance=1e-2)


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
def test_a_finished_run_that_is_resumed_keeps_its_weights(strategy: str, place: Path) -> None:
    before, after = ended(place, "hubert", strategy)[0], ended(place, "finished", strategy)[0]
    assert after["step"] == 5 and after["weights"] == before["weights"]


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
def test_checkpoints_are_the_same_whoever_wrote_them(strategy: str, one: Any, place: Path, tmp_path: Path) -> None:
    path = place / f"dinosr-{strategy}" / "checkpoints" / "step-000000002.ckpt"
    alone = train(tmp_path, SYSTEMS["dinosr"], batches(WHOLE, 5), 5, resume=path)
    close(one("dinosr"), outcome(alone))
    close(one("dinosr"), ended(place, "moved", strategy)[0])
    last = FolderCheckpointIO().load_checkpoint(place / f"dinosr-{strategy}" / "checkpoints" / "step-000000005.ckpt")
    mine = alone.optimizers(use_pl_optimizer=False).state_dict()["state"]  # type: ignore[union-attr]
    saved = last["optimizer_states"][0]["state"]
    assert mine.keys() == saved.keys()
    for index, entries in mine.items():
        for name, value in entries.items():
            torch.testing.assert_close(saved[index][name], value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
def test_what_training_leaves_is_whole(strategy: str, one: Any, place: Path) -> None:
    encoder = store.restore(place / f"dinosr-{strategy}" / "encoder")
    weights = one("dinosr")["weights"]
    for name, tensor in encoder.state_dict().items():
        assert tensor.double().flatten().tolist() == pytest.approx(weights[f"encoder.{name}"], rel=0, abs=1e-6)


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
def test_two_ranks_resume_bit_for_bit(strategy: str, place: Path) -> None:
    assert ended(place, "resumed", strategy) == ended(place, "whole", strategy)


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
@pytest.mark.parametrize(("name", "steps"), [("uneven", 10), ("ended", 7)])
def test_seven_and_three_batches_never_hang(name: str, steps: int, strategy: str, place: Path) -> None:
    first, second = ended(place, name, strategy)
    assert first["step"] == second["step"] == steps and first["rejected"] == 0
    assert first["figures"] == second["figures"] and any(key.startswith("valid/") for key in first["figures"])


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
def test_updates_are_left_out_and_taken_back_together(strategy: str, place: Path) -> None:
    first, second = ended(place, "poisoned", strategy)
    assert (first["step"], first["rejected"]) == (second["step"], second["rejected"]) == (5, 4)
    assert first["figures"] == second["figures"] and first["figures"]["alarm/not_finite"] == 4
    close(ended(place, "poisoned", "ddp")[0], first)


@pytest.mark.parametrize("strategy", parallel_ranks.STRATEGIES)
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_on_two_ranks(precision: str, strategy: str, place: Path) -> None:
    first, second = ended(place, precision, strategy)
    assert first["figures"] == second["figures"], "the loss scale included"
    assert first["step"] == 3
    close(ended(place, precision, "ddp")[0], first, tolerance=1e-3)
    assert ("train/loss_scale" in first["figures"]) is (precision == "16-mixed")


def test_what_overflows_on_one_rank_lowers_the_scale_of_all(place: Path) -> None:
    found = [json.loads((place / f"scale-{rank}.json").read_text()) for rank in (0, 1)]
    assert found == [[4.0, 0.0, 4.0, -1.0]] * 2, "no rank moved its weights in the first update, both did in the second"
