"""One rank = two ranks, exactly; two ranks resume exactly; no rank is left alone. Real processes over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.distributed import two_ranks

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What both ranks ended with, by run; the limit turns a hang into a failure."""
    folder = tmp_path_factory.mktemp("two_ranks")
    clean = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK")}
    done = subprocess.run(
        [sys.executable, two_ranks.__file__, str(folder)],
        env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=480, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    names = [*two_ranks.RUNS, "sharded_contest", *two_ranks.DISTURBED]
    return {name: [json.loads((folder / f"{name}-{r}.json").read_text()) for r in (0, 1)] for name in names}


def close(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert (a["step"], a["rejected"]) == (b["step"], b["rejected"])
    for name, values in a["weights"].items():
        assert b["weights"][name] == pytest.approx(values, rel=0, abs=1e-12), name
    assert b["figures"] == pytest.approx(a["figures"], rel=1e-12, abs=1e-12)


KNOWN = {
    "exact": (9, 0), "distilled": (9, 0), "recognised": (9, 0), "empty": (2, 0), "poisoned": (2, 1), "rolled_back": (5, 3),
    "contested": (9, 0), "contested_in_pairs": (5, 0), "contested_poisoned": (4, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", list(KNOWN))
def test_two_ranks_take_the_steps_of_one(name: str, pair: dict[str, list[Any]], tmp_path: Path) -> None:
    one = two_ranks.outcome(two_ranks.RUNS[name](tmp_path))
    for rank in pair[name]:
        close(one, rank)
    assert (one["step"], one["rejected"]) == KNOWN[name]


@pytest.mark.parametrize("name", list(two_ranks.RUNS))
def test_ranks_end_alike_bit_for_bit(name: str, pair: dict[str, list[Any]]) -> None:
    first, second = pair[name]
    assert first == second


def test_two_ranks_resume_bit_for_bit(pair: dict[str, list[Any]]) -> None:
    assert pair["resumed"] == pair["whole"]
    assert pair["contested_resumed"] == pair["contested_whole"]


def test_a_generator_and_a_discriminator_are_not_sharded(pair: dict[str, list[Any]]) -> None:
    for said in pair["sharded_contest"]:
        assert said.startswith("trainer.strategy=fsdp: a generator and a discriminator are not trained on shards")


def test_a_signal_to_one_rank_stops_both(pair: dict[str, list[Any]]) -> None:
    assert [rank["step"] for rank in pair["killed"]] == [pair["killed"][0]["step"]] * 2
    assert pair["killed"][0]["step"] in (3, 4)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("one_bit", "after update 4: checksum of the weights is "),
        ("one_update", "update is 4 on rank 0 and 5 on rank 1"),
        ("one_window", "data next is 4 on rank 0 and 0 on rank 1"),
    ],
)
def test_ranks_that_are_out_of_step_are_told_apart_and_stop(name: str, what: str, pair: dict[str, list[Any]]) -> None:
    assert pair[name][0].startswith("the ranks are out of step after update 4: ") and what in pair[name][0]
    assert "on rank 0 and" in pair[name][1] and "Start again from the newest checkpoint" in pair[name][1]


def test_ranks_that_cannot_all_go_back_stop_together(pair: dict[str, list[Any]]) -> None:
    first, second = pair["no_checkpoints"]
    assert "not every rank can read the same older checkpoint" in first
    assert "there is no older checkpoint to go back to" in second
