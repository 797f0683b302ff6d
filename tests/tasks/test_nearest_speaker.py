"""NearestSpeaker: means of unit vectors, the largest cosine wins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.tasks.nearest_speaker import enrol


def test_enrolment_and_decision_are_numpys() -> None:
    voices, names = torch.randn(7, 5, dtype=torch.float64), ["b", "a", "b", "c", "a", "b", "c"]
    speakers = enrol(voices, names)
    assert speakers.names == ("a", "b", "c")
    x = voices.numpy() / np.linalg.norm(voices, axis=1)[:, None]
    means = np.stack([x[[i for i, n in enumerate(names) if n == name]].mean(0) for name in "abc"])
    new = torch.randn(4, 5, dtype=torch.float64)
    expected = new.numpy() @ means.T / np.linalg.norm(new, axis=1)[:, None] / np.linalg.norm(means, axis=1)
    np.testing.assert_allclose(speakers.scores(new).numpy(), expected, rtol=1e-12)
    assert speakers(new) == ["abc"[i] for i in expected.argmax(1)]


def test_loud_utterances_do_not_weigh_more() -> None:
    speakers = enrol(torch.tensor([[100.0, 0.0], [0.0, 1.0]]), ["a", "a"])
    torch.testing.assert_close(speakers.vectors, torch.tensor([[0.5, 0.5]]).sqrt())


@pytest.mark.parametrize("count", [0, 2])
def test_vectors_without_names(count: int) -> None:
    with pytest.raises(ValueError, match="give each vector its speaker"):
        enrol(torch.randn(count, 3), ["a"])
