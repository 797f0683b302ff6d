"""VoiceField: one vector for a cut, whole or cropped; of another utterance of its speaker; mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.feature_writer import FeatureWriter
from speechunits.data.fields import AudioField, FeaturesField, VoiceField
from speechunits.data.other_voices import refer_to_others
from speechunits.data.transforms import Crop, Speed
from speechunits.errors import UserError
from speechunits.stream import Stream

Corpus = Callable[..., Path]


def number(cut_id: str) -> int:
    return int("".join(c for c in cut_id if c.isdigit()))


def stored(manifest: Path, out: Path, shape: tuple[int, ...] = (3,)) -> Cuts:
    """The vector of utterance n is n, n + 1, n + 2."""
    with FeatureWriter(out, None, shape, "fp", "voice", ["enc"]) as writer:
        for cut in open_cuts(manifest):
            writer.write(cut, np.arange(number(cut.id), number(cut.id) + 3)[None])
    return open_cuts(out)


def spoken(corpus: Corpus, tmp_path: Path, speakers: str = "abab") -> Path:
    cuts = list(CutSet.from_file(corpus([1.0, 0.5, 0.7, 0.9], name="u")))
    for cut, speaker in zip(cuts, speakers, strict=True):
        cut.supervisions[0].speaker = speaker
    CutSet.from_cuts(cuts).to_file(tmp_path / "spoken.jsonl.gz")
    return tmp_path / "spoken.jsonl.gz"


def test_one_vector_for_each_cut(corpus: Corpus, tmp_path: Path) -> None:
    cuts = stored(spoken(corpus, tmp_path), tmp_path / "v.jsonl.gz")
    assert cuts.streams == {"voice": Stream(None, (), "fp", (3,))}
    dataset = BatchDataset(cuts, {"audio": AudioField(), "voice": VoiceField()}, [Crop(0.4)])
    batch = dataset[Planned(0, (2, 0))].batch
    assert batch["audio"].lengths.tolist() == [6400, 6400]
    torch.testing.assert_close(batch["voice"], torch.tensor([[2.0, 3, 4], [0, 1, 2]]))
    assert dataset.streams["voice"].fingerprint == "fp" and VoiceField().bind(cuts).grid is None


def test_another_utterance_of_the_same_speaker(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl.gz"
    stored(spoken(corpus, tmp_path), path)
    refer_to_others(str(path), "voice", seed=3)
    first = path.read_bytes()
    cuts = open_cuts(path)
    field = VoiceField().bind(cuts)
    heard = {number(cut.id): int(field.load(cut)[0]) for cut in cuts}
    assert heard == {0: 2, 1: 3, 2: 0, 3: 1}  # of two utterances, the other one
    stored(tmp_path / "spoken.jsonl.gz", path)
    refer_to_others(str(path), "voice", seed=3)
    assert path.read_bytes() == first


def test_a_speaker_with_one_utterance_is_named(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl.gz"
    stored(spoken(corpus, tmp_path, "abaa"), path)
    with pytest.raises(UserError, match=r"1 of 2 speakers have one utterance.*\(b\)"):
        refer_to_others(str(path), "voice")


def test_what_is_no_voice(corpus: Corpus, tmp_path: Path) -> None:
    manifest = spoken(corpus, tmp_path)
    cuts = stored(manifest, tmp_path / "v.jsonl.gz")
    with pytest.raises(UserError, match="no stored voices speaker"):
        VoiceField("speaker").bind(cuts)
    with pytest.raises(UserError, match="no stored features voice"):
        FeaturesField("voice").bind(cuts)
    with pytest.raises(UserError, match="fingerprint of voice is fp, not other"):
        VoiceField(fingerprint="other").bind(cuts)
    with pytest.raises(UserError, match="stored at one speed"):
        BatchDataset(cuts, {"voice": VoiceField()}, [Speed([0.9])])
    with FeatureWriter(tmp_path / "f.jsonl.gz", Fraction(1, 50), (3,), "fp") as writer:
        for cut in open_cuts(manifest):
            writer.write(cut, np.zeros((round(cut.duration * 50), 3)))
    with pytest.raises(UserError, match="no stored voices features"):
        VoiceField("features").bind(open_cuts(tmp_path / "f.jsonl.gz"))
