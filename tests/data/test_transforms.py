"""Noise, rooms and speed: against numpy, and on stored labels."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields import AudioField, UnitsField
from speechunits.data.transforms import Crop, Noise, Reverberation, Speed
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError

Corpus = Callable[..., Path]
HOP = Fraction(1, 50)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def room(folder: Path, response: np.ndarray, rate: int = 16000) -> str:
    soundfile.write(folder / "room.wav", response, rate, subtype="FLOAT")
    CutSet.from_cuts([Recording.from_file(folder / "room.wav").to_cut()]).to_file(folder / "rooms.jsonl.gz")
    return str(folder / "rooms.jsonl.gz")


@pytest.mark.parametrize(("seconds", "rate"), [(2.0, 16000), (0.2, 16000), (2.0, 8000)])
def test_noise_lies_as_far_below_as_asked(corpus: Corpus, seconds: float, rate: int):
    (cut,), noise = open_cuts(corpus([0.7])), corpus([seconds, seconds], "n", rate)
    noisy = Noise(str(noise), (10.0, 10.0), share=1.0)(cut, rng(), None)
    clean, both = cut.load_audio()[0].astype(np.float64), noisy.load_audio()[0]
    assert noisy.id == cut.id and both.shape == clean.shape and both.dtype == np.float32
    added = both - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(added**2)) == pytest.approx(10, abs=0.01)
    if seconds < 0.7:  # repeated
        np.testing.assert_allclose(added[:3200], added[3200:6400], atol=1e-4)


def test_a_piece_of_the_noise_is_drawn_each_time(corpus: Corpus):
    (cut,), noise = open_cuts(corpus([0.3])), str(corpus([3.0], "n"))
    source = open_cuts(noise)[0].load_audio()[0]
    add = Noise(noise, (0.0, 20.0), share=0.7)
    found = [add(cut, rng(i), None) for i in range(60)]
    assert 30 < sum(noisy is not cut for noisy in found) < 52
    added = [noisy.load_audio()[0] - cut.load_audio()[0] for noisy in found if noisy is not cut]
    places = {int(np.argmax(np.correlate(source, part, "valid"))) for part in added[:10]}
    assert len(places) == 10
    again = add(cut, rng(3), None).load_audio()
    assert (again == found[3].load_audio()).all()


def test_a_crop_before_or_after_noise_has_its_length(corpus: Corpus):
    (cut,), noise = open_cuts(corpus([1.0])), Noise(str(corpus([3.0], "n")), share=1.0)
    for order in ([Crop(0.5), noise], [noise, Crop(0.5)]):
        out = cut
        for transform in order:
            out = transform(out, rng(), None)
        assert out.load_audio().shape == (1, 8000)


def test_rooms_are_a_convolution_that_keeps_time_and_level(corpus: Corpus, tmp_path: Path):
    (cut,) = open_cuts(corpus([0.5]))
    response = np.zeros(4000)
    response[[100, 400, 1500]] = 0.9, 0.5, 0.2  # the direct path arrives 100 samples late
    there = Reverberation(room(tmp_path, response), share=1.0)(cut, rng(), None)
    clean = cut.load_audio()[0].astype(np.float64)
    expected = np.convolve(clean, response)[100 : 100 + len(clean)]
    expected *= np.sqrt(np.sum(clean**2) / np.sum(expected**2))
    np.testing.assert_allclose(there.load_audio()[0], expected, atol=1e-4)
    assert np.argmax(np.correlate(there.load_audio()[0], clean, "full")) == len(clean) - 1  # nothing moved
    early = Reverberation(room(tmp_path, response), share=1.0, early_only=True)(cut, rng(), None)
    kept = np.convolve(clean, response[:800])[100 : 100 + len(clean)]
    np.testing.assert_allclose(early.load_audio()[0], kept * np.sqrt(np.sum(clean**2) / np.sum(kept**2)), atol=1e-4)
    assert Reverberation(room(tmp_path, response), share=0.0)(cut, rng(), None) is cut


def test_real_noise_and_real_rooms(corpora: Path, corpus: Corpus, tmp_path: Path):
    files = sorted((corpora / "noise_rir").glob("*.*a*"))
    CutSet.from_cuts([Recording.from_file(f).to_cut() for f in files if f.suffix == ".flac"]).to_file(
        tmp_path / "n.jsonl"
    )
    CutSet.from_cuts([Recording.from_file(f).to_cut() for f in files if f.suffix == ".wav"]).to_file(
        tmp_path / "r.jsonl"
    )
    chain = [Reverberation(str(tmp_path / "r.jsonl"), share=1.0), Noise(str(tmp_path / "n.jsonl"), share=1.0)]
    cuts = open_cuts(corpus([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]))
    batch, bad, refused = BatchDataset(cuts, {"audio": AudioField()}, chain)[Planned(0, tuple(range(6)))]
    assert not bad and refused is None and batch["audio"].lengths.tolist() == [8000, 9600, 11200, 12800, 14400, 16000]
    assert batch["audio"].data.isfinite().all()


def test_two_sorts_of_noise_draw_apart(corpus: Corpus):
    cuts, noise = open_cuts(corpus([0.5])), Noise(str(corpus([3.0], "n")), (0.0, 0.0), share=1.0)
    one, two = (
        BatchDataset(cuts, {"audio": AudioField()}, [noise] * n)[Planned(0, (0,))].batch["audio"].data for n in (1, 2)
    )
    clean = BatchDataset(cuts, {"audio": AudioField()})[Planned(0, (0,))].batch["audio"].data
    first, second = one - clean, two - one
    assert abs(float((first * second).sum() / first.norm() / second.norm())) < 0.1


def stored(corpus: Corpus, folder: Path, seconds: list[float]) -> Cuts:
    """Labels that say when they are: label t is t."""
    with UnitWriter(folder / "u.jsonl.gz", HOP, [1000], "fp") as writer:
        for cut in open_cuts(corpus(seconds)):
            cut.supervisions[0].alignment = {"word": [AlignmentItem("a", 0.5, 0.2)]}
            writer.write(cut, np.arange(int((cut.duration - 0.025) * 50 + 1e-6) + 1))
    return open_cuts(folder / "u.jsonl.gz")


def test_speed_moves_times_and_length(corpus: Corpus):
    (cut,) = open_cuts(corpus([1.1]))
    cut.supervisions[0].alignment = {"word": [AlignmentItem("a", 0.55, 0.22)]}
    fast = Speed((1.1,))(cut, rng(), None)
    assert fast.id == cut.id and fast.load_audio().shape == (1, 16000)
    word = fast.supervisions[0].alignment["word"][0]
    assert (word.start, word.duration) == pytest.approx((0.5, 0.2), abs=1e-4)
    assert Speed((0.9, 1.1)).seconds(np.array([0.9])).tolist() == pytest.approx([1.0])
    drawn = [Speed()(cut, rng(i), None).duration for i in range(60)]
    assert {round(1.1 / d, 2) for d in drawn} == {0.9, 1.0, 1.1}


@pytest.mark.parametrize("factor", [0.9, 1.1, 1.5])
@pytest.mark.parametrize("crop", [False, True])
def test_labels_follow_a_change_of_speed(corpus: Corpus, tmp_path: Path, factor: float, crop: bool):
    field = UnitsField(speed="nearest").bind(cuts := stored(corpus, tmp_path, [3.0, 2.0]))
    for i, cut in enumerate(cuts):
        changed: Cut = Crop(1.5)(cut, rng(i), None) if crop else cut  # off the grid of the labels too
        changed = Speed((factor,))(changed, rng(), None)
        if crop:
            changed = Crop(0.8)(changed, rng(i), None)
        labels = field.load(changed).numpy()
        frames = int((changed.duration - 0.025) * 50 + 1e-6) + 1
        assert frames - 2 <= len(labels) <= frames + 1
        centres = (changed.start + 0.0125 + np.arange(len(labels)) / 50) * factor  # of the frames, in unchanged audio
        assert np.abs(0.0125 + labels / 50 - centres).max() <= 0.01 + 1e-4  # half a hop


def test_labels_that_cannot_follow_are_refused_before_training(corpus: Corpus, tmp_path: Path):
    cuts = stored(corpus, tmp_path, [1.0, 1.2])
    with pytest.raises(UserError, match=r"the field units was stored at one speed.*fields\.units\.speed: nearest"):
        BatchDataset(cuts, {"audio": AudioField(), "units": UnitsField()}, [Speed()])
    both = {"audio": AudioField(), "units": UnitsField(speed="nearest")}
    batch, bad, refused = BatchDataset(cuts, both, [Speed((0.9,))])[Planned(0, (0, 1))]
    assert refused is None and not bad
    assert (batch["audio"].lengths // 320 - batch["units"].lengths).abs().max() <= 1
    with pytest.raises(UserError, match=r"was changed after units were stored.*speed: nearest"):
        UnitsField().bind(cuts).load(Speed((0.9,))(cuts[0], rng(), None))


def test_settings_that_make_no_sense(corpus: Corpus, tmp_path: Path):
    noise = str(corpus([1.0], "n"))
    with pytest.raises(UserError, match="snr"):
        Noise(noise, (20.0, 5.0))
    with pytest.raises(UserError, match=r"share=1\.5"):
        Reverberation(noise, share=1.5)
    with pytest.raises(UserError, match="factors"):
        Speed((0.1,))
    with pytest.raises(UserError, match="does not exist"):
        Noise(str(tmp_path / "none.jsonl.gz"))


def test_noise_that_cannot_be_read_and_mixtures_end_in_a_sentence(corpus: Corpus, tmp_path: Path):
    cuts, noise = open_cuts(corpus([0.5, 0.6])), corpus([1.0], "n")
    (tmp_path / "audio" / "n0.wav").unlink()
    loaded = BatchDataset(cuts, {"audio": AudioField()}, [Noise(str(noise), share=1.0)])[Planned(0, (0,))]
    assert loaded.refused is not None and "the noise n0 of" in loaded.refused and "\n" not in loaded.refused
    with pytest.raises(UserError, match="is a mixture of several"):
        Noise(str(corpus([1.0], "m")), share=1.0)(cuts[0].mix(cuts[1]), rng(), None)
