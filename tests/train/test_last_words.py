"""A training that fails says where it was. What several ranks say of each other is in tests/distributed/test_faults.py."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits.errors import UserError
from speechunits.train.callbacks.last_words import LastWords, peer_is_gone, shown
from speechunits.train.callbacks.same_everywhere import flat
from tests.train.tiny import Each, train


def fail(step: int, error: Exception) -> None:
    if step == 3:
        raise error


def test_an_exception_names_update_and_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        train(tmp_path, 9, callbacks=[Each(lambda step: fail(step, ZeroDivisionError("a bug")))])
    (note,) = caught.value.__notes__
    assert note.startswith("after update 3, training on ") and note.endswith(": ZeroDivisionError: a bug")
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [note]


def test_what_the_user_can_mend_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError) as caught:
        train(tmp_path, 9, callbacks=[Each(lambda step: fail(step, UserError("mend it")))])
    assert not hasattr(caught.value, "__notes__") and "mend it" not in caplog.text


def test_which_errors_are_of_lost_peers() -> None:
    assert peer_is_gone(RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed"))
    assert peer_is_gone(torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:1"))
    assert not peer_is_gone(RuntimeError("the batch of a, b cannot be loaded: KeyError: 'x'"))
    assert not peer_is_gone(KeyError("gloo"))


def test_words() -> None:
    assert shown(["a", "b", "c"], 2) == " a, b and 1 more" and shown([]) == ""
    assert flat({"a": {"b": [1, {"c": 2}]}, "d": None}) == {"a.b.0": 1, "a.b.1.c": 2, "d": None}


def test_batches_without_ids_are_no_matter() -> None:
    """Those of a data module of one's own."""
    words: Any = LastWords()
    words.on_train_batch_start(None, None, [{"audio": 1}, None, {"ids": ["a"]}], 0)
    assert words._ids == ["a"]
