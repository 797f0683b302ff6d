"""Trials: all pairs once, or a list; lines that are none."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from speechunits.errors import UserError
from speechunits.tasks.speaker_trials import all_pairs, read_trials


def test_every_two_utterances_once() -> None:
    speakers = list("abacb")
    trials = all_pairs(speakers)
    found = set(zip(trials.left.tolist(), trials.right.tolist(), trials.same.tolist(), strict=True))
    assert (
        found == {(i, j, speakers[i] == speakers[j]) for i, j in combinations(range(5), 2)} and len(trials.same) == 10
    )
    voices = F.normalize(torch.randn(5, 3), dim=-1)
    torch.testing.assert_close(trials.scores(voices), (voices @ voices.T)[trials.left, trials.right])


def test_a_list(tmp_path: Path) -> None:
    (tmp_path / "trials.txt").write_text("1 u1 u3\n0 u2 u1\n")
    trials = read_trials(tmp_path / "trials.txt", ["u1", "u2", "u3"])
    assert (trials.left.tolist(), trials.right.tolist(), trials.same.tolist()) == ([0, 1], [2, 0], [True, False])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 u1\n", "line 1 is not '<0 or 1> <id> <id>'"),
        ("1 u1 u2\nu1 u2 1\n", "line 2 is not"),
        ("1 u1 u9\n", "line 1 names u9, which is not among the cuts"),
        ("1 u1 u2\n", "1 of 1 trials are of one speaker"),
        ("", "0 of 0 trials"),
    ],
)
def test_lists_that_are_none(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "trials.txt").write_text(text)
    with pytest.raises(UserError, match=says):
        read_trials(tmp_path / "trials.txt", ["u1", "u2"])


def test_pairs_of_one_kind_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give several utterances of each of several speakers"):
        all_pairs(["a", "b"])
    with pytest.raises(UserError, match="does not exist"):
        read_trials(tmp_path / "none.txt", [])
