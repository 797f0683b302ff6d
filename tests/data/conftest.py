"""Tiny corpora, written on the fly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.cut import Cut


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Path]:
    """``corpus([1.0, 0.5], name="a", rate=16000)`` writes noise of those seconds and a manifest; gives its path."""

    def write(seconds: Sequence[float], name: str = "a", rate: int = 16000) -> Path:
        folder = tmp_path / "audio"
        folder.mkdir(exist_ok=True)
        random = np.random.default_rng(len(seconds))
        return save(
            [noise_cut(folder / f"{name}{i}.wav", s, rate, random) for i, s in enumerate(seconds)], tmp_path, name
        )

    return write


def noise_cut(path: Path, seconds: float, rate: int, random: np.random.Generator) -> Cut:
    soundfile.write(path, random.normal(0, 0.1, round(seconds * rate)), rate)
    cut = Recording.from_file(path).to_cut()
    said = SupervisionSegment(path.stem, path.stem, 0, cut.duration, text=f"text of {path.stem}", speaker=path.stem[0])
    cut.supervisions = [said]
    return cut


def save(cuts: Sequence[Cut], folder: Path, name: str) -> Path:
    path = folder / f"{name}.jsonl.gz"
    CutSet.from_cuts(cuts).to_file(path)
    return path
