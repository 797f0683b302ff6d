"""prematch_features: every utterance rebuilt from the others of its speaker, in a manifest like the one before."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.prematch_features import prematch_features
from speechunits.data.cuts import open_cuts
from speechunits.data.feature_writer import FeatureWriter
from speechunits.data.fields import FeaturesField, SpeakerField
from speechunits.errors import UserError
from speechunits.recipe import run
from speechunits.tasks.knn_conversion import KNNConversion
from tests.recipes.toy import Corpus


def with_features(corpus: Corpus, path: Path) -> Path:
    with FeatureWriter(path, Fraction(1, 50), (3,), "fp", derived_from=["enc"]) as writer:
        for cut in open_cuts(corpus.train):
            random = np.random.default_rng(len(cut.id) + int(cut.duration * 16000))
            writer.write(cut, random.normal(size=(int(cut.duration * 50), 3)))
    return path


def test_features_rebuilt_from_the_same_speaker(corpus: Corpus, tmp_path: Path) -> None:
    before = with_features(corpus, tmp_path / "f" / "train.jsonl.gz")
    mark = run(prematch_features, [f"out={tmp_path / 'out'}", f"cuts.train={before}", "k=2"])
    assert mark["train"] == {"cuts": 10, "speakers": 2}
    old, new = open_cuts(before), open_cuts(tmp_path / "out" / "train.jsonl.gz")
    assert new.streams == old.streams
    stored, made = FeaturesField().bind(old), FeaturesField().bind(new)
    speakers = {cut.id: SpeakerField().load(cut) for cut in old}
    for cut in new:
        pool = torch.cat([stored.load(c) for c in old if speakers[c.id] == speakers[cut.id] and c.id != cut.id])
        expected = KNNConversion(2)(stored.load(old[old.row(cut.id)]), pool)
        torch.testing.assert_close(made.load(cut), expected, rtol=1e-3, atol=1e-3)


def test_too_few_frames_of_a_speaker(corpus: Corpus, tmp_path: Path) -> None:
    before = with_features(corpus, tmp_path / "f" / "train.jsonl.gz")
    with pytest.raises(
        UserError, match=r"cuts\.train, speaker train-0: the target has \d+ frames, fewer than k = 9999"
    ):
        run(prematch_features, [f"out={tmp_path / 'out'}", f"cuts.train={before}", "k=9999"])
    assert not list((tmp_path / "out").glob("train*"))
