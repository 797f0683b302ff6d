"""The choice uses nothing but the training speakers, and prefers what carries over to other speakers."""

from __future__ import annotations

import pytest
import torch

from speechunits.tasks.linear_probe import LinearProbe
from speechunits.tasks.probe_choice import choose, speaker_parts

SPEAKERS = ["a", "b", "c", "d"]


def test_features_that_carry_over_beat_features_of_a_speaker() -> None:
    """ "own" tells the class perfectly, but with a code of each speaker's own; "shared" is noisy and the same for all."""
    speakers = [s for s in SPEAKERS for _ in range(30)]
    labels = torch.arange(120) % 2
    sign = torch.tensor([1.0 if s in "ac" else -1.0 for s in speakers])
    own = ((2 * labels - 1) * sign)[:, None] + 0.01 * torch.randn(120, 1)
    shared = (2 * labels - 1)[:, None] + 0.8 * torch.randn(120, 1)
    parts = [["a", "c"], ["b", "d"]]
    choice = choose({"own": own, "shared": shared}, labels, speakers, 2, (0.1, 0.01), parts)
    assert choice.candidate == "shared" and choice.accuracies["own", 0.1] == 0
    assert set(choice.accuracies) == {("own", 0.1), ("own", 0.01), ("shared", 0.1), ("shared", 0.01)}
    assert choice.accuracies["shared", choice.l2] == max(choice.accuracies.values())


def test_accuracies_are_those_of_probes_fitted_without_the_part() -> None:
    x, labels = torch.randn(40, 5), torch.randint(3, (40,))
    x[:, :3] += torch.nn.functional.one_hot(labels, 3)
    speakers = [SPEAKERS[i % 4] for i in range(40)]
    parts = [["a"], ["b"], ["c"], ["d"]]
    found = choose({"x": x}, labels, speakers, 3, (1.0, 0.01), parts).accuracies
    for l2 in (1.0, 0.01):
        each = []
        for (name,) in parts:
            held = torch.tensor([s == name for s in speakers])
            each.append(LinearProbe(5, 3, l2).fit(x[~held], labels[~held]).accuracy(x[held], labels[held]))
        assert found["x", l2] == pytest.approx(sum(each) / 4)


def test_deals_of_four_speakers() -> None:
    pairs = [sorted(map(tuple, speaker_parts(SPEAKERS * 3, 2, seed))) for seed in range(3)]
    assert sorted(pairs) == [[("a", "b"), ("c", "d")], [("a", "c"), ("b", "d")], [("a", "d"), ("b", "c")]]
    assert speaker_parts(SPEAKERS, 2, 3) == speaker_parts(SPEAKERS, 2, 0)
    assert sorted(speaker_parts(SPEAKERS, 9, 1)) == [["a"], ["b"], ["c"], ["d"]]


@pytest.mark.parametrize("parts", [[["a"]], [["a", "b"], ["c", "d"], ["e"]], [["a", "b", "c", "d"], ["a"]]])
def test_parts_that_cannot_be_held_out(parts: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="part"):
        choose({"x": torch.randn(4, 2)}, torch.tensor([0, 1, 0, 1]), SPEAKERS, 2, (1.0,), parts)
