"""What a data module says and does when a checkpoint's place in the data is restored."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechunits.errors import UserError
from speechunits.train.datamodule import SpeechDataModule
from tests.train.numbered import corpus, fit, module


def test_another_plan_goes_on_at_the_same_share_of_the_epoch(paths: dict[str, str], caplog: pytest.LogCaptureFixture):
    first = module(paths)
    half = len(first.train_dataloader()) // 2
    first.position.window = half
    state = first.state_dict()
    same = module(paths, accumulate=2)
    same.load_state_dict(state)
    same.train_dataloader()
    assert same.position.window == half and not caplog.records
    other = module(paths, max_seconds=0.6)
    other.load_state_dict(state)
    with caplog.at_level(logging.WARNING):
        windows = len(other.train_dataloader())
    assert windows > len(first.train_dataloader())
    assert other.position.window == int(np.ceil(half / len(first.train_dataloader()) * windows))
    assert "of another batch plan" in caplog.text


def restored(data: SpeechDataModule, state: dict[str, Any]) -> SpeechDataModule:
    data.load_state_dict(json.loads(json.dumps(state)))
    data.train_dataloader()
    return data


def halfway(paths: dict[str, str], **how: Any) -> dict[str, Any]:
    first = module(paths, **how)
    first.position.window = len(first.train_dataloader()) // 2
    return first.state_dict()


def test_the_same_cuts_elsewhere_go_on_silently(
    paths: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    state = halfway(paths)
    (tmp_path / "moved").mkdir()
    moved = corpus(tmp_path / "moved", "t", [0.2 + 0.02 * i for i in range(24)])
    with caplog.at_level(logging.WARNING):
        data = restored(module({**paths, "train": moved}), state)
    assert data.position.window == state["window"] and not caplog.records


@pytest.mark.parametrize("window", ["start", "middle"])
def test_other_cuts_are_refused_until_accepted(
    paths: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, window: str
):
    state = halfway(paths)
    state["window"] *= window == "middle"
    corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(30)])
    says = (
        r"t.jsonl.gz: the checkpoint saw 24 cuts of 0.00 h \(\w{12}\), now there are 30 of 0.00 h \((\w{12})\): other ids or "
        r"durations; put the manifest of before back, or give data.accept_manifest=\1 to go on with this one$"
    )
    with pytest.raises(UserError, match=says) as refused:
        restored(module(paths), state)
    name = str(refused.value).split("accept_manifest=")[1].split()[0]
    with caplog.at_level(logging.WARNING):
        data = restored(module(paths, accept_manifest=name), state)
    assert "other ids or durations; accepted" in caplog.text
    assert (data.position.window > 0) == (window == "middle") == ("of another batch plan" in caplog.text)
    corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(24)] + [0.7])
    with pytest.raises(UserError, match="now there are 25"):  # one acceptance is not one for all
        restored(module(paths, accept_manifest=name), state)


@pytest.mark.parametrize("window", ["start", "middle"])
def test_another_number_of_batches_per_update_is_refused_until_accepted(
    paths: dict[str, str], caplog: pytest.LogCaptureFixture, window: str
):
    state = halfway(paths, accumulate=4)
    state["window"] *= window == "middle"
    with caplog.at_level(logging.WARNING):
        assert restored(module(paths, accumulate=4), state).position.window == state["window"]
        assert not caplog.records
        says = (
            r"of 4 batches \(ranks x accumulate\), and now they are of 1; give data.accumulate=4 to keep them as they were, "
            r"or data.accept_batches=1 to go on with these$"
        )
        for accepted in (None, 2):
            with pytest.raises(UserError, match=says):
                restored(module(paths, accumulate=1, accept_batches=accepted), state)
        data = restored(module(paths, accumulate=1, accept_batches=1), state)
    assert "now they are of 1; accepted" in caplog.text
    assert (data.position.window > state["window"]) == (window == "middle") == ("another batch plan" in caplog.text)
    after = data.state_dict()  # the next checkpoint is of such updates: no word more
    caplog.clear()
    assert restored(module(paths, accumulate=1), after).position.window == after["window"] and not caplog.records


class Ranks:
    """The place of a process among ``world_size``, as a Trainer tells it."""

    def __init__(self, world_size: int, global_rank: int) -> None:
        self.world_size, self.global_rank = world_size, global_rank


def windows_of(paths: dict[str, str], state: dict[str, Any] | None, ranks: int, accumulate: int) -> list[list[str]]:
    """The ids of each update, batch after batch, over all ranks."""
    updates: list[list[list[str]]] = []
    for rank in range(ranks):
        data = module(paths, accumulate=accumulate)
        data.trainer = Ranks(ranks, rank)  # type: ignore[assignment]
        if state:
            data.load_state_dict(state)
        updates.append([[" ".join(batch["ids"]) for batch in window] for window in data.train_dataloader()])
    return [[w[m] for m in range(accumulate) for w in several] for several in zip(*updates, strict=True)]


def test_ranks_times_accumulate_is_what_counts_also_when_resuming(
    paths: dict[str, str], caplog: pytest.LogCaptureFixture
):
    """4 ranks, 2 ranks that accumulate 2 and 1 that accumulates 4 see the same updates; 3 ranks cannot, and are refused."""
    one = windows_of(paths, None, 1, 4)
    state = halfway(paths, accumulate=4)
    with caplog.at_level(logging.WARNING):
        for ranks, accumulate in ((1, 4), (2, 2), (4, 1)):
            assert windows_of(paths, None, ranks, accumulate) == one
            assert windows_of(paths, state, ranks, accumulate) == one[state["window"] :]
        assert not caplog.records
    with pytest.raises(UserError, match=r"of 4 batches .* of 3; give another number of ranks \(3 cannot\) to keep"):
        windows_of(paths, state, 3, 1)


def test_labels_of_another_tokenizer_are_refused_when_resuming(paths: dict[str, str], tmp_path: Path):
    """The same cuts, extracted again with another tokenizer: the checkpoint names both, before anything is trained."""
    fit(module(paths), tmp_path / "run", 3)
    saved = tmp_path / "run" / "step=3.ckpt"
    assert len(fit(module(paths), tmp_path / "again", 2, saved).train_ids) == 2
    corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(24)], "stranger")
    corpus(tmp_path, "v", [0.3, 0.5, 0.9], "stranger")
    says = (
        r"trained on units of the tokenizer fp, and .*t\.jsonl\.gz holds those of stranger; extract them with fp again"
    )
    with pytest.raises(UserError, match=says):
        fit(module(paths), tmp_path / "other", 2, saved)
