"""Greedy: the best path by hand, whatever is beyond the lengths."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.decode.greedy import Greedy
from speechunits.errors import UserError
from speechunits.heads.ctc import CTC
from speechunits.seq import Seq
from tests.decode.scored import Scores


def test_runs_merge_and_blanks_part_equal_symbols() -> None:
    paths = torch.tensor([[0, 0, 2, 0, 1, 1, 2, 2], [2, 2, 2, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    scores = Seq(F.one_hot(paths, 3).double().log(), torch.tensor([8, 3, 0]), Fraction(1, 50))
    found = [each for (each,) in Greedy()({"ctc": Scores()}, {"ctc": scores})]
    assert [x.ids.tolist() for x in found] == [[0, 0, 1], [], []]
    assert [x.spans.tolist() for x in found if x.spans is not None] == [[[0, 2], [3, 4], [4, 6]], [], []]
    assert [x.score for x in found] == [0, 0, 0]


def test_score_and_confidence_are_those_of_the_path() -> None:
    chances: Tensor = torch.tensor([[0.6, 0.4], [0.8, 0.2], [0.1, 0.9]])
    ((found,),) = Greedy("b")(
        {"a": nn.Linear(1, 1), "b": Scores()}, {"b": Seq(chances.log()[None], torch.tensor([3]), None)}
    )
    assert found.ids.tolist() == [0] and found.confidence is not None
    assert found.confidence.tolist() == pytest.approx([0.7]) and found.score == pytest.approx(-0.8393, abs=1e-4)


def test_no_graph_is_built() -> None:
    """Of a head that could learn."""
    asked: list[bool] = []
    head = CTC(dim=4, vocab=(2,))
    head.linear.register_forward_hook(lambda module, given, out: asked.append(out.requires_grad))
    x = Seq(torch.randn(2, 5, 4), torch.tensor([5, 3]), Fraction(1, 50))
    Greedy()({"ctc": head}, {"ctc": x})
    Greedy().stream({"ctc": head})({"ctc": Seq(x.data[:1], x.lengths[:1], x.hop)}, last=True)
    assert asked == [False, False]


def test_heads_without_scores_of_frames_are_refused() -> None:
    with pytest.raises(UserError, match="no CTC head among a"):
        Greedy()({"a": nn.Linear(1, 1)}, {})
